mod conformance;
mod golden;
mod odd;
