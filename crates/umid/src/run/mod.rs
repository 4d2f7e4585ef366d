//! A run on disk: its directory, its records and what is made of them, and the cache of
//! references beside it.

pub mod cache;
pub mod checked;
pub mod csv_out;
pub mod overview;
pub(crate) mod parquet_out;
pub mod record;
pub mod redact;
pub mod store;
