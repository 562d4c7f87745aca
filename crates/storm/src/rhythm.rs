//! Unusual volume of a source against its own past.
#![allow(missing_docs, reason = "a stand-in until the next commit")]
use crate::facts::Ms;
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FloodLimits {}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    FiveMinutes,
    Hour,
    Day,
}
impl Window {
    pub fn words(self) -> &'static str {
        "5 minutes"
    }
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flood {
    pub window: Window,
    pub count: u32,
    pub usual: u32,
    pub threshold: u32,
    pub began: bool,
}
#[derive(Debug, Clone, Default)]
pub struct Rhythm {}
impl Rhythm {
    pub fn count(&mut self, _now: Ms, _limits: &FloodLimits) -> Option<Flood> {
        None
    }
}
