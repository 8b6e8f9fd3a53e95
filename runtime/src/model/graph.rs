//! The layers in the order they run, each with the slots it reads and writes.
//!
//! A slot is a fixed range of the scratch buffer. Slot 0 is the agent input; a layer may read a slot only after it was
//! written, so when a graph has been read every range is known to be filled when it is used.

pub(crate) mod lanes;

use core::hint::black_box;
use core::ops::Range;

use heapless::Vec;

use super::archive::Archive;
use super::spec::{AgentSpec, bytes};
use super::split::{cut, split};
use crate::builtin::Plan;
#[cfg(feature = "build")]
use crate::builtin::write::Writer;
use crate::error::{LayerFault, ModelError};
use crate::kernel::{Layer, MAX_INPUTS, Parts, Slot};

/// Most layers a graph may have.
pub const MAX_LAYERS: usize = 16;
/// Bytes of a line of the cache.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;
/// Most slots a graph may have.
pub const MAX_SLOTS: usize = 16;

/// A range of the scratch or of the memory, in words: short numbers, since an opened model is copied with all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u16,
    len: u16,
}

impl Span {
    fn start(self) -> usize {
        usize::from(self.start)
    }

    fn len(self) -> usize {
        usize::from(self.len)
    }

    /// From the numbers that [`Span::plan`] writes.
    const fn built(plan: &mut Plan<'_>) -> Self {
        let (start, len) = (plan.word(), plan.word());
        assert!(start <= u16::MAX as u32 && len <= u16::MAX as u32, "a plan has a buffer that is too long");
        Self { start: start as u16, len: len as u16 }
    }

    #[cfg(feature = "build")]
    fn plan(self, plan: &mut Writer<'_>) {
        plan.count(self.start());
        plan.count(self.len());
    }

    pub(crate) fn range(self) -> Range<usize> {
        self.start()..self.start().saturating_add(self.len())
    }
}

/// One layer and where its numbers are.
#[derive(Clone, Debug)]
pub struct Step<'m> {
    layer: Layer<'m>,
    inputs: [Span; MAX_INPUTS],
    output: Span,
    memory: Span,
    work: Span,
}

impl Step<'static> {
    /// From the numbers that [`Graph::plans`] gives.
    pub(crate) const fn built(kind: &str, plan: &mut Plan<'_>) -> Self {
        let mut inputs = [Span { start: 0, len: 0 }; MAX_INPUTS];
        let mut index = 0;
        while index < MAX_INPUTS {
            inputs[index] = Span::built(plan);
            index += 1;
        }
        let (output, memory, work) = (Span::built(plan), Span::built(plan), Span::built(plan));
        let layer = Layer::built(kind, plan);
        assert!(
            !layer.in_place() || inputs[0].len == output.len,
            "a plan has a layer in place of another width"
        );
        Self { layer, inputs, output, memory, work }
    }
}

/// Keeps [`Layers`] to this crate.
mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Read<'_> {}
    impl Sealed for super::Built {}
}

/// Where the layers of a policy are: [`Read`] or [`Built`].
pub trait Layers: sealed::Sealed {
    /// The layers in the order they run.
    #[doc(hidden)]
    fn steps(&self) -> &[Step<'_>];
}

/// Layers that were read from a file; they are part of the [`Policy`](crate::Policy).
#[derive(Clone, Debug)]
pub struct Read<'m>(Vec<Step<'m>, MAX_LAYERS>);

impl Layers for Read<'_> {
    #[inline(always)]
    fn steps(&self) -> &[Step<'_>] {
        &self.0
    }
}

/// Layers that were made when the firmware was built; they are in flash.
#[derive(Clone, Copy, Debug)]
pub struct Built(pub(crate) &'static [Step<'static>]);

impl Layers for Built {
    #[inline(always)]
    fn steps(&self) -> &[Step<'_>] {
        self.0
    }
}

/// A filled part of the scratch: where, and what lies there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Filled {
    span: Span,
    slot: Slot,
}

/// What a step needs besides the layers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Places {
    /// Where the agent input goes.
    pub(crate) input: Span,
    /// Where the last layer leaves the Q-values.
    pub(crate) q: Span,
    pub(crate) memory_len: usize,
    pub(crate) scratch_len: usize,
}

/// A graph whose shapes are proven to chain.
#[derive(Clone, Debug)]
pub(crate) struct Graph<L> {
    layers: L,
    pub(crate) places: Places,
}

impl Graph<Built> {
    /// From the numbers that [`Graph::plan`] writes.
    pub(crate) const fn built(plan: &mut Plan<'_>, layers: &'static [Step<'static>]) -> Self {
        let (input, q) = (Span::built(plan), Span::built(plan));
        let (memory_len, scratch_len) = (plan.count(), plan.count());
        assert!(memory_len < 1 << 17 && scratch_len < 1 << 17, "a plan has a buffer that is too long");
        Self { layers: Built(layers), places: Places { input, q, memory_len, scratch_len } }
    }
}

impl<'m> Graph<Read<'m>> {
    /// A graph without layers.
    pub(crate) fn new() -> Self {
        Self { layers: Read(Vec::new()), places: Places::default() }
    }

    /// Writes the numbers of everything but the layers.
    #[cfg(feature = "build")]
    pub(crate) fn plan(&self, plan: &mut Writer<'_>) {
        self.places.input.plan(plan);
        self.places.q.plan(plan);
        plan.count(self.places.memory_len);
        plan.count(self.places.scratch_len);
    }

    /// What each layer is called, and its numbers.
    #[cfg(feature = "build")]
    pub(crate) fn plans(&self, file: &'m [u8]) -> impl Iterator<Item = (&'static str, std::vec::Vec<u32>)> {
        self.layers.steps().iter().map(move |step| {
            let mut plan = Writer::new(file);
            for span in step.inputs.iter().chain([&step.output, &step.memory, &step.work]) {
                span.plan(&mut plan);
            }
            (step.layer.plan(&mut plan), plan.end())
        })
    }

    /// Floats that [`Graph::arrange`] takes, with those before the first line of the cache.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn arranged_len(&self) -> usize {
        let len =
            self.layers.0.iter().fold(0_usize, |sum, step| sum.saturating_add(step.layer.arranged_len()));
        if len == 0 { 0 } else { len.saturating_add(LINE / size_of::<f32>() - 1) }
    }

    /// Copies weights into `room`, in the order in which this processor reads them fastest.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn arrange(&mut self, room: &'m mut [f32]) {
        // A register that is loaded across the end of a line costs two loads.
        let before = room.as_ptr().align_offset(LINE);
        let Some((_, mut room)) = room.split_at_mut_checked(before) else { return };
        for step in &mut self.layers.0 {
            step.layer.arrange(&mut room);
        }
    }

    /// Reads `ddn.graph` for the inputs and the actions of `spec`.
    #[inline(never)]
    pub(crate) fn read(&mut self, archive: &Archive<'m>, spec: &AgentSpec<'m>) -> Result<(), ModelError> {
        let text = bytes(archive, "ddn.graph")?;
        let len = spec.input_dim().ok_or(ModelError::Value { key: "ddn.inputs" })?;
        let too_wide = |_| ModelError::Value { key: "ddn.inputs" };
        self.places.input = take(&mut self.places.scratch_len, len).map_err(too_wide)?;
        let mut slots = [None; MAX_SLOTS];
        let [first, ..] = &mut slots;
        let mut q = Slot::F32(len);
        *first = Some(Filled { span: self.places.input, slot: q });
        for (layer, text) in split(text, b';').enumerate() {
            let pushed = self.push(text, archive, &mut slots);
            q = pushed.map_err(|fault| ModelError::Layer { layer, fault })?;
        }
        if q == Slot::F32(spec.n_actions()) {
            return Ok(());
        }
        Err(ModelError::Layer { layer: self.layers.0.len().saturating_sub(1), fault: LayerFault::Width })
    }

    /// Adds one layer, `kind:inputs>output[:name]`, and says what it writes.
    #[inline(never)]
    fn push(
        &mut self,
        text: &[u8],
        archive: &Archive<'m>,
        slots: &mut [Option<Filled>; MAX_SLOTS],
    ) -> Result<Slot, LayerFault> {
        let (kind, rest) = cut(text, b':').ok_or(LayerFault::Syntax)?;
        let (from, to) = cut(rest, b'>').ok_or(LayerFault::Syntax)?;
        let (to, name) = cut(to, b':').unwrap_or((to, &[]));

        let mut inputs = [Span::default(); MAX_INPUTS];
        let mut holds = [Slot::F32(0); MAX_INPUTS];
        let (mut count, mut reads) = (0, 0_u32);
        for number in split(from, b',') {
            let number = index(number)?;
            let filled = slots.get(number).copied().flatten().ok_or(LayerFault::Slot)?;
            let place = inputs.get_mut(count).zip(holds.get_mut(count));
            let (input, holds) = place.filter(|_| reads >> number & 1 == 0).ok_or(LayerFault::Arity)?;
            (*input, *holds) = (filled.span, filled.slot);
            reads |= 1 << number;
            count += 1;
        }
        let holds = holds.get(..count).unwrap_or_default();
        let layer = Layer::load(kind, &Parts { archive, name, inputs: holds })?;

        let number = index(to)?;
        let to = slots.get_mut(number).ok_or(LayerFault::Slot)?;
        let slot = layer.output();
        let output = match *to {
            Some(filled) if filled.slot == slot => filled.span,
            Some(_) => return Err(LayerFault::Slot),
            None => take(&mut self.places.scratch_len, slot.words())?,
        };
        *to = Some(Filled { span: output, slot });
        if !layer.in_place() && reads >> number & 1 == 1 {
            return Err(LayerFault::Arity);
        }
        let memory = take(&mut self.places.memory_len, layer.memory_dim())?;
        let work = take(&mut self.places.scratch_len, layer.work_dim())?;
        self.places.q = output;
        self.layers
            .0
            .push(Step { layer, inputs, output, memory, work })
            .map_err(|_| LayerFault::Slot)
            .map(|()| slot)
    }
}

impl<L: Layers> Graph<L> {
    pub(crate) fn steps(&self) -> &[Step<'_>] {
        self.layers.steps()
    }
}

/// Runs all layers on an agent input that is already in its place.
///
/// `None` if a buffer is too short; the caller has ruled that out.
#[inline(never)]
pub(crate) fn run(steps: &[Step<'_>], memory: &mut [f32], scratch: &mut [f32]) -> Option<()> {
    for Step { layer, inputs, output: to, memory: span, work } in steps {
        let memory = memory.get_mut(span.range())?;
        // What a layer works in comes after every slot that it reads or writes.
        let (slots, rest) = scratch.split_at_mut_checked(work.start())?;
        let work = rest.get_mut(..work.len())?;
        let (before, rest) = slots.split_at_mut_checked(to.start())?;
        let (output, after) = rest.split_at_mut_checked(to.len())?;
        let end = to.start().wrapping_add(to.len());
        // Nothing, where a layer in place reads what it writes.
        let inputs = inputs.map(|span| {
            if span.len == 0 {
                return &[][..];
            }
            let start = span.start().wrapping_sub(end);
            let place = start..start.wrapping_add(span.len());
            before.get(span.range()).or_else(|| after.get(place)).unwrap_or_default()
        });
        if layer.in_place() {
            let [from, ..] = inputs;
            for (to, from) in output.iter_mut().zip(from) {
                *to = *from;
            }
        }
        layer.run(inputs, memory, work, output);
    }
    Some(())
}

/// A slot's number.
#[inline(never)]
fn index(text: &[u8]) -> Result<usize, LayerFault> {
    let mut number = 0;
    for byte in text {
        black_box(()); // one copy of the loop
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(LayerFault::Syntax);
        }
        number = (10 * number + usize::from(digit)).min(MAX_SLOTS);
    }
    if text.is_empty() { Err(LayerFault::Syntax) } else { Ok(number) }
}

/// The next `len` words of a buffer that has `used` so far.
fn take(used: &mut usize, len: usize) -> Result<Span, LayerFault> {
    let span = u16::try_from(*used).ok().zip(u16::try_from(len).ok());
    let (start, len) = span.ok_or(LayerFault::Width)?;
    *used = usize::from(start) + usize::from(len);
    Ok(Span { start, len })
}
