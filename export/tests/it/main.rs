//! The exporter on hand-made policies, without a training run.

mod agreement;
mod bytes;
mod cli;
mod common;
mod engines;
mod job;
mod normalise;
mod onnxruntime;
mod publish;
mod quantize;
mod world;
