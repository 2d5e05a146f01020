#![doc = include_str!("../README.md")]

mod args;
mod degraded;
mod disk;
mod failure;
mod harness;
mod heap;
mod heap_program;
mod layered;
mod memory;
mod output;
mod redb;
mod run;
mod s3;
mod sets;
mod subject;
mod workload;

pub use {
    args::Args,
    degraded::{DegradedArgs, degraded},
    heap::{HeapCounters, HeapQuestion, answer},
    run::run,
    subject::buckets::served::serve,
};
