//! What the pages of the web UI show: lists in several orders, images and what they share. Read from the rows
//! alone; the one file that is ever opened is the config of an image that somebody looks at.
//!
//! Operations are bounded and take some milliseconds at 10⁴ repositories, 10⁶ tags and 3×10⁵ tags in one of them;
//! what a bound cut off says so. They block: call them from a thread that may wait.

#[cfg(test)]
mod filter_tests;
pub(crate) mod images;
pub(crate) mod kind;
pub(crate) mod learn;
#[cfg(test)]
mod lists_tests;
pub mod measured;
pub(crate) mod names;
pub(crate) mod repositories;
pub(crate) mod tags;
#[cfg(test)]
mod tests;
