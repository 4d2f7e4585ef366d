//! The kernels through what is public of them, in one test program.

mod common;
mod conv;
mod matrix;
mod stack;
mod units;
