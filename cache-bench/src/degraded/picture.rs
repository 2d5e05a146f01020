//! Latency over time, as SVG.

use std::time::Duration;

use cache_core::BreakerState;
use plotters::{
    coord::Shift,
    drawing::DrawingArea,
    prelude::{Circle, IntoDrawingArea, PathElement, Rectangle, SVGBackend, Text},
    style::{
        Color, IntoFont, RGBColor, TextStyle, WHITE,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::{
    document::{quantile, sorted},
    load::{Call, Done, Kind},
    watch::{Phase, Sample},
};
use crate::failure::Result;

const WIDTH: i32 = 1000;
const HEIGHT: i32 = 760;
const LEFT: i32 = 80;
const RIGHT: i32 = 980;
/// What is summed up in one point.
const SLICE: Duration = Duration::from_millis(200);

const INK: RGBColor = RGBColor(40, 40, 40);
const GRID: RGBColor = RGBColor(222, 222, 222);
const MEDIAN: RGBColor = RGBColor(0, 114, 178);
const HIGH: RGBColor = RGBColor(230, 159, 0);
const MOST: RGBColor = RGBColor(150, 150, 150);
const SICK: RGBColor = RGBColor(250, 236, 232);
const OPEN: RGBColor = RGBColor(204, 60, 40);
const HALF: RGBColor = RGBColor(230, 159, 0);
const CLOSED: RGBColor = RGBColor(0, 158, 115);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Where times stand.
struct Times(Duration);

impl Times {
    fn at(&self, time: Duration) -> i32 {
        let part = time.as_secs_f64() / self.0.as_secs_f64().max(1e-9);
        LEFT + whole(part.min(1.0) * f64::from(RIGHT - LEFT))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a float that is too large becomes the largest integer")]
fn whole(float: f64) -> i32 {
    float.round() as i32
}

pub(crate) fn draw(phases: &[Phase], samples: &[Sample], done: &Done) -> Result<String> {
    let times = Times(phases.last().map_or(Duration::ZERO, |phase| phase.to));
    let mut svg = String::new();
    {
        let size = (u32::try_from(WIDTH)?, u32::try_from(HEIGHT)?);
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE)?;
        text(
            &area,
            "Memory, disk and a bucket, whose server is paused and killed",
            (20, 26),
            20,
            HPos::Left,
        )?;
        legend(&area)?;
        for phase in phases {
            let (from, to) = (times.at(phase.from), times.at(phase.to));
            if matches!(phase.name, "paused" | "killed") {
                area.draw(&Rectangle::new([(from, 90), (to, HEIGHT - 50)], SICK.filled()))?;
            }
            area.draw(&PathElement::new([(from, 72), (from, HEIGHT - 50)], GRID))?;
            text(&area, phase.name, (i32::midpoint(from, to), 80), 13, HPos::Center)?;
        }
        latencies(&area, &times, done, Kind::Get, "get, ms", (110, 310))?;
        latencies(&area, &times, done, Kind::Put, "put, ms", (350, 550))?;
        queue(&area, &times, samples)?;
        for second in (0..=times.0.as_secs()).step_by(5) {
            let left = times.at(Duration::from_secs(second));
            text(&area, &format!("{second} s"), (left, HEIGHT - 36), 12, HPos::Center)?;
        }
        area.present()?;
    }
    Ok(svg)
}

fn legend(area: &Area<'_>) -> Result<()> {
    let mut left = 20;
    for (color, what, width) in [
        (MEDIAN, "median", 90),
        (HIGH, "99 of 100", 110),
        (MOST, "most", 80),
        (CLOSED, "breaker closed", 130),
        (HALF, "half open", 100),
        (OPEN, "open", 70),
    ] {
        area.draw(&Rectangle::new([(left, 46), (left + 12, 58)], color.filled()))?;
        text(area, what, (left + 18, 52), 13, HPos::Left)?;
        left += width;
    }
    text(area, "points sum up 0.2 s; latencies by powers of ten", (left, 52), 13, HPos::Left)
}

/// From a microsecond to a second.
fn height(took: Duration, (top, bottom): (i32, i32)) -> i32 {
    let part = ((took.as_secs_f64().max(1e-6).log10() + 6.0) / 6.0).min(1.0);
    bottom - whole(part * f64::from(bottom - top))
}

fn latencies(
    area: &Area<'_>,
    times: &Times,
    done: &Done,
    kind: Kind,
    title: &str,
    panel: (i32, i32),
) -> Result<()> {
    text(area, title, (20, panel.0 - 12), 14, HPos::Left)?;
    for (micros, label) in [
        (1, "0.001"),
        (10, "0.01"),
        (100, "0.1"),
        (1_000, "1"),
        (10_000, "10"),
        (100_000, "100"),
        (1_000_000, "1000"),
    ] {
        let level = height(Duration::from_micros(micros), panel);
        area.draw(&PathElement::new([(LEFT, level), (RIGHT, level)], GRID))?;
        text(area, label, (LEFT - 8, level), 12, HPos::Right)?;
    }
    let slices: Vec<(i32, Vec<Duration>)> = done
        .calls
        .chunk_by(|one, other| slice(one) == slice(other))
        .filter_map(|calls| {
            Some((
                times.at(SLICE * slice(calls.first()?)),
                sorted(calls.iter().filter(|call| call.kind == kind)),
            ))
        })
        .collect();
    for (left, most) in slices.iter().filter_map(|(left, took)| Some((left, took.last()?))) {
        area.draw(&Circle::new((*left, height(*most, panel)), 2, MOST.filled()))?;
    }
    for (per_mille, color) in [(990, HIGH), (500, MEDIAN)] {
        let line =
            slices.iter().filter_map(|(left, took)| Some((*left, height(quantile(took, per_mille)?, panel))));
        area.draw(&PathElement::new(line.collect::<Vec<_>>(), color.stroke_width(2)))?;
    }
    Ok(())
}

fn slice(call: &Call) -> u32 {
    u32::try_from(call.at.as_millis() / SLICE.as_millis()).unwrap_or(u32::MAX)
}

fn queue(area: &Area<'_>, times: &Times, samples: &[Sample]) -> Result<()> {
    let (top, bottom) = (590, 690);
    let most = samples.iter().map(|sample| sample.queued).max().unwrap_or(0).max(1);
    text(
        area,
        &format!("waiting to be written to the bucket, entries (most: {most})"),
        (20, top - 12),
        14,
        HPos::Left,
    )?;
    let level = |queued: u64| -> Result<i32> {
        let (queued, most) = (u32::try_from(queued)?, u32::try_from(most)?);
        Ok(bottom - whole(f64::from(queued) / f64::from(most) * f64::from(bottom - top)))
    };
    let line: Result<Vec<_>> =
        samples.iter().map(|sample| Ok((times.at(sample.at), level(sample.queued)?))).collect();
    area.draw(&PathElement::new([(LEFT, bottom), (RIGHT, bottom)], GRID))?;
    area.draw(&PathElement::new(line?, MEDIAN.stroke_width(2)))?;
    for pair in samples.windows(2) {
        let [one, next] = pair else { continue };
        let color = match one.breaker {
            BreakerState::Open => OPEN,
            BreakerState::HalfOpen => HALF,
            _ => CLOSED,
        };
        let strip = [(times.at(one.at), bottom + 6), (times.at(next.at), bottom + 14)];
        area.draw(&Rectangle::new(strip, color.filled()))?;
    }
    Ok(())
}

fn text(area: &Area<'_>, what: &str, at: (i32, i32), size: i32, anchor: HPos) -> Result<()> {
    let style =
        TextStyle::from(("sans-serif", size).into_font()).color(&INK).pos(Pos::new(anchor, VPos::Center));
    area.draw(&Text::new(what.to_owned(), at, style))?;
    Ok(())
}
