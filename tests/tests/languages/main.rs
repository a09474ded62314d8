//! What a plugin does must not depend on the language that it is written in: the plugins of `tests/conformance`, one of each kind
//! in every language, are given the same and must answer the same.

mod aggregates;
mod by_hand;
mod events;
mod failures;
mod growing;
mod plugins;
mod publishing;
mod read_models;
mod sdks;
mod upcasters;
