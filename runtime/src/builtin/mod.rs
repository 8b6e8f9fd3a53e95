//! Policies that are part of the firmware: read when it is built, not when it starts.
//!
//! ```text
//! build.rs   policy file ── open, verify ──> NAME.rs     where everything lies, as numbers
//! firmware   NAME.rs, policy file ── compiler ──> BuiltIn     a static in flash
//! device     BuiltIn ── verify ──> Policy ── act ──> action
//! ```
//!
//! `build::policy` (feature `build`) runs on the workstation: it opens and verifies the file as a device would, and
//! writes down what it found beside a copy of the file. The compiler makes a [`BuiltIn`] of that, whose bounds it checks;
//! anything wrong with the file or with the plan is an error of the build. The device has neither the reader in flash nor
//! the opened policy in RAM.
//!
//! A layer's kernel has one function for each way: `plan` writes its numbers, `built` takes them in the same order.

#[cfg(feature = "build")]
pub(crate) mod build;
mod plan;
#[cfg(feature = "build")]
pub(crate) mod write;

pub(crate) use plan::Plan;

#[doc(hidden)]
pub use crate::model::graph::Step;

use crate::error::VerifyError;
use crate::flash::Aligned;
use crate::model::graph::Graph;
use crate::model::header::Text;
use crate::model::recording::Recording;
use crate::model::spec::AgentSpec;
use crate::model::{Built, Model};
use crate::policy::Policy;

/// Of plans: a larger one where the same numbers would mean something else.
const VERSION: u32 = 1;

/// The policy of a [`BuiltIn`].
pub type BuiltInPolicy = Policy<'static, Built>;

/// A policy that was read when the firmware was built. The file that `build::policy` writes has one.
///
/// Its weights stay in the policy file, which is in the image as it is.
#[derive(Debug)]
pub struct BuiltIn {
    policy: BuiltInPolicy,
    crc: Text<'static>,
}

impl BuiltIn {
    /// From a plan; for the file that `build::policy` writes.
    #[doc(hidden)]
    pub const fn new(
        file: &'static Aligned<[u8]>,
        layers: &'static [Step<'static>],
        numbers: &[u32],
    ) -> Self {
        let mut plan = Plan::new(file, numbers);
        assert!(plan.word() == VERSION, "the plan of a policy was made by another version of ddn-runtime");
        let file = plan.whole();
        let crc = Text::built(&mut plan);
        let spec = AgentSpec::built(&mut plan);
        let recording = Some(Recording::built(&mut plan));
        let range = if plan.flag() { Some(plan.matrix()) } else { None };
        let graph = Graph::built(&mut plan, layers);
        plan.end();
        Self { policy: Policy::of(Model { file, spec, graph, recording, range }), crc }
    }

    /// The policy, if flash holds the file that the firmware was built with and the policy gives the recorded answers here.
    /// Where its layers lie is a part of the program: only a check of the whole image covers that, as it covers the code.
    ///
    /// In this order: the CRC over every byte of the file; the recorded answers bit for bit, see [`Policy::self_test`].
    /// That weights are finite and recorded steps name what exists was found when it was built. `memory` and `scratch` as
    /// for [`Policy::act`]; the memory is reset before and after.
    ///
    /// # Errors
    /// At the first check that fails.
    pub fn verify(
        &'static self,
        memory: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<&'static BuiltInPolicy, VerifyError> {
        self.policy.check_crc(Some(self.crc))?;
        self.policy.self_test(memory, scratch).map_err(VerifyError::SelfTest)?;
        Ok(&self.policy)
    }

    /// The policy without a look at the numbers, see [`Model::assume_verified`].
    pub const fn assume_verified(&'static self) -> &'static BuiltInPolicy {
        &self.policy
    }
}

/// A layer from its plan: what it is called, and its numbers; for the file that `build::policy` writes.
#[doc(hidden)]
pub const fn layer(file: &'static Aligned<[u8]>, kind: &str, numbers: &[u32]) -> Step<'static> {
    let mut plan = Plan::new(file, numbers);
    let step = Step::built(kind, &mut plan);
    plan.end();
    step
}
