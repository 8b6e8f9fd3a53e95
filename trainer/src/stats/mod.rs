//! Statistics over the runs of one or more algorithms: what may be claimed from a few seeds.
//!
//! ```text
//! Scores [R, M] ─► aggregate    mean, median, interquartile mean, optimality gap
//!               ├► bootstrap    intervals around them
//!               ├► profile      share of runs above each threshold, with bands
//!               └► improvement  how likely one algorithm is better than another
//! traces        ─► curve        an aggregate at each point of training, with bands
//! runs          ─► marl_eval    the file that `marl-eval` reads
//! ```
//!
//! Source: Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
//! NeurIPS 2021 (arXiv 2108.13264), and its implementation `rliable`, whose numbers are reproduced.

pub mod aggregate;
pub mod bootstrap;
pub mod curve;
pub mod error;
pub mod improvement;
pub mod marl_eval;
pub mod profile;
pub mod scores;

pub use aggregate::Aggregate;
pub use bootstrap::{Bootstrap, Interval, intervals};
pub use curve::{Curves, Points, Trace};
pub use error::StatsError;
pub use improvement::{improvement, probability_of_improvement};
pub use profile::{Profile, profile};
pub use scores::Scores;
