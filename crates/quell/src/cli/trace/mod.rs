//! The answers of `quell trace`: what the engine found, for a terminal and as a page.
//!
//! Both begin with [`clean::clean`], so that nothing of mail reaches a terminal or a browser as
//! anything but letters. What leaves the house goes through [`owner::strip`] before that.

pub mod clean;
pub mod html;
pub mod owner;
pub mod text;
pub mod words;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
