//! Results as bars: one picture per benchmark, one panel per measurement.

use plotters::{
    prelude::{IntoDrawingArea, PathElement, Rectangle, SVGBackend, Text},
    style::{
        Color, IntoFont, RGBColor, TextStyle, WHITE,
        text_anchor::{HPos, Pos, VPos},
    },
};

use crate::{
    failure::Result,
    harness::{measurement::Measurement, rounds::Kind},
    output::{figures::with_unit, plot::axis::Axis, report::Section},
};

mod axis;

const WIDTH: u32 = 900;
/// Where bars begin and where the axis ends; right of it stand the figures.
const LEFT: i32 = 220;
const RIGHT: i32 = 690;
const HEAD: i32 = 76;
const ROW: i32 = 24;
/// Title above the bars, and axis below them.
const PANEL_HEAD: i32 = 34;
const PANEL_FOOT: i32 = 52;

const INK: RGBColor = RGBColor(40, 40, 40);
const GRID: RGBColor = RGBColor(222, 222, 222);

type Area<'a> = plotters::drawing::DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// The file that a document shows.
pub(crate) fn file_name(set: &str, bench: &str) -> String {
    format!("{set}-{bench}.svg")
}

/// The picture of one benchmark, as SVG.
pub(crate) fn draw(section: &Section) -> Result<String> {
    let height: i32 = HEAD + section.measurements.iter().map(panel_height).sum::<i32>();
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, u32::try_from(height)?)).into_drawing_area();
        area.fill(&WHITE)?;
        text(&area, section.title, (20, 26), 20, HPos::Left)?;
        legend(&area)?;
        let mut top = HEAD;
        for measurement in &section.measurements {
            panel(&area, measurement, top)?;
            top += panel_height(measurement);
        }
        area.present()?;
    }
    Ok(svg)
}

fn color(kind: Kind) -> RGBColor {
    match kind {
        Kind::Ours => RGBColor(0, 114, 178),
        Kind::Rival => RGBColor(230, 159, 0),
        Kind::Baseline => RGBColor(150, 150, 150),
    }
}

fn panel_height(measurement: &Measurement) -> i32 {
    PANEL_HEAD + PANEL_FOOT + ROW * i32::try_from(measurement.series.len()).unwrap_or(0)
}

/// What an axis counts: the unit, or what the title says before its comma.
fn quantity(measurement: &Measurement) -> &str {
    match measurement.unit {
        "" => measurement.title.split_once(',').map_or(&measurement.title, |(quantity, _)| quantity),
        unit => unit,
    }
}

fn legend(area: &Area<'_>) -> Result<()> {
    let mut left = 20;
    for (kind, what, width) in
        [(Kind::Ours, "ours", 70), (Kind::Rival, "others", 80), (Kind::Baseline, "baseline", 90)]
    {
        area.draw(&Rectangle::new([(left, 46), (left + 12, 58)], color(kind).filled()))?;
        text(area, what, (left + 18, 52), 13, HPos::Left)?;
        left += width;
    }
    text(area, "bar: median of the rounds; line: from least to most", (left + 10, 52), 13, HPos::Left)
}

fn panel(area: &Area<'_>, measurement: &Measurement, top: i32) -> Result<()> {
    let axis = Axis::of(measurement);
    let at = |figure: f64| axis.position(figure, LEFT, RIGHT);
    let first = top + PANEL_HEAD;
    let bottom = first + ROW * i32::try_from(measurement.series.len())?;
    text(area, &measurement.title, (20, top + 18), 16, HPos::Left)?;
    for tick in axis.ticks() {
        area.draw(&PathElement::new([(at(tick), first), (at(tick), bottom + 4)], GRID))?;
        text(area, &axis.label(tick), (at(tick), bottom + 13), 12, HPos::Center)?;
    }
    text(
        area,
        &axis.name(quantity(measurement)),
        (i32::midpoint(LEFT, RIGHT), bottom + 30),
        12,
        HPos::Center,
    )?;
    for (series, middle) in measurement.series.iter().zip((first + ROW / 2..).step_by(24)) {
        let summary = &series.summary;
        text(area, &series.name, (LEFT - 8, middle), 13, HPos::Right)?;
        let bar = [(LEFT, middle - 8), (at(summary.median), middle + 8)];
        area.draw(&Rectangle::new(bar, color(series.kind).filled()))?;
        if summary.min < summary.max {
            let (min, max) = (at(summary.min), at(summary.max));
            area.draw(&PathElement::new([(min, middle), (max, middle)], INK))?;
            for end in [min, max] {
                area.draw(&PathElement::new([(end, middle - 4), (end, middle + 4)], INK))?;
            }
        }
        let figure = with_unit(summary.median, measurement.unit);
        text(area, &figure, (RIGHT + 12, middle), 13, HPos::Left)?;
    }
    area.draw(&PathElement::new([(LEFT, first), (LEFT, bottom)], INK))?;
    Ok(())
}

fn text(area: &Area<'_>, what: &str, at: (i32, i32), size: i32, anchor: HPos) -> Result<()> {
    let style =
        TextStyle::from(("sans-serif", size).into_font()).color(&INK).pos(Pos::new(anchor, VPos::Center));
    area.draw(&Text::new(what.to_owned(), at, style))?;
    Ok(())
}
