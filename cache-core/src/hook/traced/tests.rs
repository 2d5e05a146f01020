use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, LazyLock, Mutex},
};

use futures::{FutureExt, future};
use tracing::{
    Dispatch, Subscriber,
    field::{Field, Visit},
    instrument::WithSubscriber,
    span,
};
use tracing_subscriber::{
    Layer,
    filter::LevelFilter,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

use super::*;
use crate::{
    Digest, Error, ErrorKind, Intent, Key, Namespace,
    hook::{Hooks, try_within, within},
};

#[derive(Clone, Debug, Default)]
struct Seen {
    target: String,
    level: String,
    parent: Option<&'static str>,
    fields: BTreeMap<&'static str, String>,
    closed: bool,
}

/// Writes down the spans in the order in which they were opened.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<(u64, Seen)>>>);

impl Spans {
    fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.0.lock().unwrap()).into_iter().map(|(_, seen)| seen).collect()
    }

    fn with(&self, id: &span::Id, change: impl FnOnce(&mut Seen)) {
        let mut spans = self.0.lock().unwrap();
        let span = spans.iter_mut().rev().find(|(other, _)| *other == id.into_u64());
        change(&mut span.unwrap().1);
    }
}

struct Fields<'a>(&'a mut Seen);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.fields.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.fields.insert(field.name(), value.to_owned());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let metadata = attributes.metadata();
        let parent = context.span(id).unwrap().parent().map(|parent| parent.name());
        let mut seen = Seen {
            target: metadata.target().to_owned(),
            level: metadata.level().to_string(),
            parent,
            ..Seen::default()
        };
        attributes.record(&mut Fields(&mut seen));
        assert_eq!(metadata.name(), "operation");
        self.0.lock().unwrap().push((id.into_u64(), seen));
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, _: Context<'_, S>) {
        self.with(id, |seen| values.record(&mut Fields(seen)));
    }

    fn on_close(&self, id: span::Id, _: Context<'_, S>) {
        self.with(&id, |seen| seen.closed = true);
    }
}

/// Whether a span is wanted, tracing notes where it is opened. It can note that wrongly while another thread opens the
/// first one there, or sets the first subscriber. So both are done before any test is.
static FIRST: LazyLock<[Dispatch; 2]> = LazyLock::new(|| {
    let first = [(); 2].map(|()| Dispatch::new(tracing_subscriber::registry().with(LevelFilter::ERROR)));
    for level in [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE] {
        drop(Traced::at(level).guard(&Operation::read("get", &key())));
    }
    first
});

fn at(level: LevelFilter) -> (Spans, impl Subscriber + Send + Sync + 'static) {
    LazyLock::force(&FIRST);
    let spans = Spans::default();
    // Before all of it: a filter of one layer does not keep the registry from a span that another test's wants.
    (spans.clone(), tracing_subscriber::registry().with(level).with(spans))
}

fn traced() -> Hooks {
    Arc::new([Arc::new(Traced::default())])
}

fn key() -> Key {
    Key::new(Namespace::root().child("n").unwrap(), Digest::of("a"))
}

async fn fine() -> Result<()> {
    Ok(())
}

#[tokio::test]
async fn a_span_says_what_the_operation_was_and_how_it_ended() {
    let (spans, subscriber) = at(LevelFilter::TRACE);
    let hooks = traced();
    let prefix = key().digest.prefix(6);
    let short = || Operation::new("expand", Target::Prefix(key().namespace, prefix), Intent::Read);
    let flush = || Operation::new("flush", Target::Store, Intent::Read);
    let work = async {
        within(&hooks, || Operation::write("put", &key()), fine()).await.unwrap();
        let fails = async { Err::<(), _>(Error::new(ErrorKind::Denied, "toy", "expand")) };
        within(&hooks, short, fails).await.unwrap_err();
        let mut hangs = Box::pin(within(&hooks, flush, future::pending::<Result<()>>()));
        assert!(hangs.as_mut().now_or_never().is_none());
        drop(hangs);
        assert_eq!(try_within(&hooks, || Operation::read("get_now", &key()), || Some(1)), Some(1));
    };
    work.with_subscriber(subscriber).await;
    let seen = spans.take();
    assert_eq!(seen.len(), 4);
    for span in &seen {
        assert_eq!((span.target.as_str(), span.level.as_str(), span.closed), ("cache", "DEBUG", true));
        assert_eq!(span.parent, None);
        span.fields["elapsed_us"].parse::<u64>().unwrap();
    }
    #[track_caller]
    fn check(seen: &Seen, expected: &[(&'static str, String)]) {
        let mut fields = seen.fields.clone();
        fields.remove("elapsed_us");
        assert_eq!(fields, expected.iter().cloned().collect());
    }
    let text = ToString::to_string;
    check(
        &seen[0],
        &[
            ("operation", text("put")),
            ("intent", text("write")),
            ("namespace", key().namespace.to_string()),
            ("digest", key().digest.to_string()),
            ("outcome", text("ok")),
        ],
    );
    check(
        &seen[1],
        &[
            ("operation", text("expand")),
            ("intent", text("read")),
            ("namespace", key().namespace.to_string()),
            ("prefix", prefix.to_string()),
            ("outcome", format!("{:?}", ErrorKind::Denied)),
        ],
    );
    check(&seen[2], &[("operation", text("flush")), ("intent", text("read")), ("outcome", text("dropped"))]);
    check(
        &seen[3],
        &[
            ("operation", text("get_now")),
            ("intent", text("read")),
            ("namespace", key().namespace.to_string()),
            ("digest", key().digest.to_string()),
            ("outcome", text("ok")),
        ],
    );
}

#[tokio::test]
async fn nested_operations_have_nested_spans_and_what_work_logs_is_inside() {
    let (spans, subscriber) = at(LevelFilter::TRACE);
    let hooks = traced();
    let read = || Operation::read("get", &key());
    let nested = async {
        within(&hooks, read, tokio::task::yield_now().map(Ok)).await?;
        assert_eq!(try_within(&hooks, read, || Span::current().metadata().map(|_| ())), Some(()));
        Ok(())
    };
    let work = async {
        within(&hooks, || Operation::write("compound", &key()), nested).await.unwrap();
        assert!(Span::current().is_none());
    };
    work.with_subscriber(subscriber).await;
    let parents: Vec<_> = spans.take().iter().map(|span| span.parent).collect();
    assert_eq!(parents, [None, Some("operation"), Some("operation")]);
}

#[tokio::test]
async fn the_wait_for_the_hooks_behind_it_and_their_refusal_are_part_of_the_span() {
    let (spans, subscriber) = at(LevelFilter::TRACE);
    let refusing = crate::hook::recorder::Recorder::refusing(ErrorKind::Unavailable);
    let hooks: Hooks =
        Arc::new([Arc::new(Traced::default()), Arc::new(refusing), Arc::new(Traced::default())]);
    let work = async {
        within(&hooks, || Operation::read("get", &key()), fine()).await.unwrap_err();
        assert_eq!(try_within(&hooks, || Operation::read("get_now", &key()), || Some(1)), None);
    };
    work.with_subscriber(subscriber).await;
    let outcomes: Vec<_> = spans.take().iter().map(|span| span.fields["outcome"].clone()).collect();
    assert_eq!(outcomes, [format!("{:?}", ErrorKind::Unavailable), "dropped".to_owned()]);
}

#[tokio::test]
async fn a_level_that_nobody_listens_at_costs_no_span() {
    let (spans, subscriber) = at(LevelFilter::INFO);
    let work = async {
        within(&traced(), || Operation::read("get", &key()), fine()).await.unwrap();
        assert!(spans.take().is_empty());
        let guard = Traced::default().guard(&Operation::read("get", &key()));
        assert!(format!("{guard:?}").contains("holds: false"), "{guard:?}");
        let loud: Hooks = Arc::new([Arc::new(Traced::at(Level::INFO))]);
        within(&loud, || Operation::read("get", &key()), fine()).await.unwrap();
    };
    work.with_subscriber(subscriber).await;
    assert_eq!(spans.take().iter().map(|span| span.level.as_str()).collect::<Vec<_>>(), ["INFO"]);
}

#[tokio::test]
async fn every_level_can_be_chosen() {
    let (spans, subscriber) = at(LevelFilter::TRACE);
    let levels = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
    let work = async {
        for level in levels {
            let hooks: Hooks = Arc::new([Arc::new(Traced::at(level))]);
            within(&hooks, || Operation::read("get", &key()), fine()).await.unwrap();
        }
    };
    work.with_subscriber(subscriber).await;
    let seen: Vec<_> = spans.take().into_iter().map(|span| span.level).collect();
    assert_eq!(seen, levels.map(|level| level.to_string()));
}
