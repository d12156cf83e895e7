//! Tests of the whole mailbox: by example, with power cuts, and against a model.

mod bounds;
mod by_example;
mod cuts;
mod model;
mod publishing;
mod rig;
mod settings;
mod stick;
