//! Promise 3: replacing a plugin loses, repeats and reorders nothing; a plugin that does not load,
//! or whose contract does not fit, never replaces one that works.

mod failing;
mod under_load;
