//! Storage of the caller that holds a value of ours, and a seal by which a handle that holds none is known.
#![allow(unsafe_code)] // values in storage of another type

use ddn_runtime::{Policy, Recording};

use crate::DdnStatus;
use crate::pointer::{Lent, Span, apart};

/// Words, of the size of a pointer, of a policy's handle.
pub const DDN_POLICY_WORDS: usize = 1024;

/// Words, of the size of a pointer, of a recording's handle.
pub const DDN_RECORDING_WORDS: usize = 32;

/// Storage for one policy: 4096 bytes where pointers have 32 bits, 8192 where they have 64; aligned as a pointer is.
/// Its content is private.
///
/// It begins as zeros, as static storage does, or with `= {0}`; then it is not open, and every call says so. It holds
/// pointers to the file it was opened from, owns nothing else, and may be forgotten at any time. Do not copy it.
#[derive(Debug)]
#[repr(C)]
pub struct DdnPolicy {
    private_words: [usize; DDN_POLICY_WORDS],
}

/// Storage for recorded steps: 128 bytes where pointers have 32 bits, 256 where they have 64. Else as for DdnPolicy.
#[derive(Debug)]
#[repr(C)]
pub struct DdnRecording {
    private_words: [usize; DDN_RECORDING_WORDS],
}

impl Default for DdnPolicy {
    fn default() -> Self {
        Self { private_words: [0; DDN_POLICY_WORDS] }
    }
}

impl Default for DdnRecording {
    fn default() -> Self {
        Self { private_words: [0; DDN_RECORDING_WORDS] }
    }
}

/// Storage for a value of type `Held`.
pub(crate) trait Handle: Sized {
    type Held: 'static;
    /// What the first word of an open handle is.
    const SEAL: usize;
}

/// An opened policy, and whether it may act.
pub(crate) struct Opened {
    pub(crate) policy: Policy<'static>,
    pub(crate) verified: bool,
}

impl Handle for DdnPolicy {
    type Held = Opened;
    const SEAL: usize = 0x0d4e_5071;
}

impl Handle for DdnRecording {
    type Held = Recording<'static>;
    const SEAL: usize = 0x0d4e_5272;
}

/// What lies in the storage of an open handle.
#[repr(C)]
pub(crate) struct Sealed<H: Handle> {
    seal: usize,
    file: Span,
    held: H::Held,
}

impl<H: Handle> Sealed<H> {
    const FITS: () = {
        assert!(size_of::<Self>() <= size_of::<H>(), "the handle is too small");
        assert!(align_of::<Self>() <= align_of::<H>(), "the handle is not aligned enough");
    };

    /// What the handle holds.
    pub(crate) fn held(&self) -> &H::Held {
        &self.held
    }

    /// Where the file is.
    pub(crate) fn file(&self) -> Span {
        self.file
    }
}

/// Opens a handle on a file: `read` makes the value, and what it refuses leaves the handle closed.
///
/// # Safety
/// There is a closed handle, which nothing else uses meanwhile; the file is there and unchanged until it is closed again.
pub(crate) unsafe fn open<H: Handle>(
    handle: Lent<H>,
    file: Lent<u8>,
    read: impl FnOnce(&'static [u8]) -> Result<H::Held, DdnStatus>,
) -> Result<(), DdnStatus> {
    const { Sealed::<H>::FITS };
    // SAFETY: the file outlives the handle, and what is read goes nowhere but into the handle.
    let held = read(unsafe { file.as_slice() })?;
    let sealed = Sealed::<H> { seal: H::SEAL, file: file.span(), held };
    // SAFETY: the storage is large and aligned enough, as asserted above, and nothing else uses it meanwhile.
    unsafe { handle.as_ptr().cast::<Sealed<H>>().write(sealed) };
    Ok(())
}

/// Closes a handle.
///
/// # Safety
/// There is a handle, which nothing else uses meanwhile.
pub(crate) unsafe fn close<H: Handle>(handle: Lent<H>) {
    // SAFETY: a handle is an array of words, so its first is one.
    unsafe { handle.as_ptr().cast::<usize>().write(0) };
}

/// Borrows what an open handle holds.
///
/// # Safety
/// There is a handle that was zero before it was first opened, and it stays open and unchanged during `'a`.
pub(crate) unsafe fn get<'a, H: Handle>(handle: Lent<H>) -> Result<&'a Sealed<H>, DdnStatus> {
    // SAFETY: a handle is an array of words, so its first is one.
    if unsafe { handle.as_ptr().cast::<usize>().read() } != H::SEAL {
        return Err(DdnStatus::NotOpen);
    }
    // SAFETY: `open` wrote the seal together with the rest.
    Ok(unsafe { &*handle.as_ptr().cast::<Sealed<H>>() })
}

/// Puts another value into an open handle.
///
/// # Safety
/// There is an open handle, which nothing else uses meanwhile.
pub(crate) unsafe fn put<H: Handle>(handle: Lent<H>, held: H::Held) {
    // SAFETY: the handle is open, so the storage holds a value of this type.
    unsafe { (*handle.as_ptr().cast::<Sealed<H>>()).held = held };
}

/// Writes what `ask` finds out from an open handle.
///
/// # Safety
/// As for `get`, and there is a place to write to.
pub(crate) unsafe fn answer<H: Handle, T>(
    handle: *const H,
    to: *mut T,
    ask: impl FnOnce(&H::Held) -> Result<T, DdnStatus>,
) -> DdnStatus {
    let find = || {
        let (handle, to) = (Lent::one(handle)?, Lent::one(to)?);
        // SAFETY: the handle is what the caller says.
        let sealed = unsafe { get(handle) }?;
        apart(&[to.span()], &[handle.span(), sealed.file()])?;
        let found = ask(sealed.held())?;
        // SAFETY: there is a place to write to.
        unsafe { to.as_ptr().write(found) };
        Ok(())
    };
    find().into()
}
