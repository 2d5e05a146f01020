//! What a run leaves: figures for machines, tables and plots for people.

pub(crate) mod figures;
pub(crate) mod plot;
pub(crate) mod report;
pub(crate) mod table;
