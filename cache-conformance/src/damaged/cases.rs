//! Many damaged entries before one restart.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a clause fails by panicking")]

use bytes::Bytes;
use cache_core::Key;
use futures::{StreamExt, stream};

use super::{Answer, Form, Patient, Way, read};
use crate::{
    Factory, Setup,
    sample::{Contents, bytes, data, key},
};

/// How many entries are looked at side by side: a store may be far away.
const AT_ONCE: usize = 16;

/// Damages an entry in each of some ways for each form of reading, all before one restart.
pub(crate) async fn never_wrong(factory: &dyn Factory, len: usize, ways: impl Fn(&Bytes) -> Vec<Way>) {
    let contents = |number: u64| data(bytes(number, len));
    let setup = Setup::default().with_max_blob_bytes(len as u64);
    let mut patient = Patient::open_with(factory, setup).await;
    patient.store().put_new(&key(0), &contents(0)).await;
    patient.store().flush().await.expect("a flush");
    let mut cases = Vec::new();
    for (index, object) in patient.objects(&key(0)).await.iter().enumerate() {
        for way in ways(&patient.bytes_of(object).await) {
            cases.extend(Form::ASKING.map(|form| (index, way.clone(), form)));
        }
    }
    let cases = &cases;
    let number = |case: usize| case as u64 + 1;
    let store = patient.store();
    for_each(cases.len(), |case| async move {
        store.put_new(&key(number(case)), &contents(number(case))).await;
    })
    .await;
    patient.stop().await;
    let damaging = &patient;
    for_each(cases.len(), |case| async move {
        let (object, way, _) = &cases[case];
        damaging.change(&key(number(case)), *object, way).await;
    })
    .await;
    patient.start().await;
    let store = patient.store();
    for_each(cases.len(), |case| async move {
        let (key, contents) = (key(number(case)), contents(number(case)));
        let (_, way, form) = &cases[case];
        read(store, &key, &contents, Form::Now).await;
        if read(store, &key, &contents, *form).await == Answer::Corrupt {
            let again = read(store, &key, &contents, *form).await;
            assert_ne!(again, Answer::Corrupt, "{way:?}, read as {form:?}: the damage is still there");
        }
        read(store, &key, &contents, Form::Whole).await;
    })
    .await;
    store.assert_holds(&key(0), &contents(0)).await;
}

/// Puts entries in pairs, swaps some of their bytes, and reads both of each pair in every form.
pub(crate) async fn never_swapped(factory: &dyn Factory, pair: fn(u64) -> [(Key, Contents); 2]) {
    let mut patient = Patient::open(factory).await;
    let pairs: Vec<_> = (0..).step_by(2).zip(Form::ALL).map(|(number, form)| (pair(number), form)).collect();
    for (key, contents) in pairs.iter().flat_map(|(pair, _)| pair) {
        patient.store().put_new(key, contents).await;
    }
    patient.stop().await;
    for ([(one, _), (other, _)], _) in &pairs {
        patient.swap(one, other).await;
    }
    patient.start().await;
    for (pair, form) in &pairs {
        for (key, contents) in pair {
            read(patient.store(), key, contents, *form).await;
            read(patient.store(), key, contents, Form::Whole).await;
            patient.store().put_new(key, contents).await;
            patient.store().assert_holds(key, contents).await;
        }
    }
}

/// Does something for each number below `count`, several at once.
async fn for_each<'a, F: Future<Output = ()> + Send + 'a>(
    count: usize,
    act: impl Fn(usize) -> F + Send + 'a,
) {
    stream::iter(0..count).for_each_concurrent(AT_ONCE, act).await;
}
