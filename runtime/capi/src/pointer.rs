//! Pointers of the caller: checked first, borrowed only then.
#![allow(unsafe_code)] // from raw pointers to references

use core::ptr::NonNull;
use core::slice;

use bytemuck::AnyBitPattern;

use crate::DdnStatus;

/// A range of addresses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start: usize,
    end: usize,
}

impl Span {
    fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

/// Whether each of `written` is apart from all others and from all of `read`.
pub(crate) fn apart(written: &[Span], read: &[Span]) -> Result<(), DdnStatus> {
    for (index, span) in written.iter().enumerate() {
        let mut others = written.iter().take(index).chain(read);
        if others.any(|other| span.overlaps(*other)) {
            return Err(DdnStatus::Overlap);
        }
    }
    Ok(())
}

/// A pointer to `len` elements that is aligned, not null and leaves the address space nowhere. Nothing says that
/// there is memory behind it: that is the caller's promise, which the borrowing functions rely on.
pub(crate) struct Lent<T> {
    start: NonNull<T>,
    len: usize,
}

impl<T> Clone for Lent<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Lent<T> {}

impl<T> Lent<T> {
    /// Of one element.
    pub(crate) fn one(start: *const T) -> Result<Self, DdnStatus> {
        Self::many(start, 1)
    }

    /// Of `len` elements. A null pointer to none is fine.
    pub(crate) fn many(start: *const T, len: usize) -> Result<Self, DdnStatus> {
        if len == 0 {
            return Ok(Self { start: NonNull::dangling(), len });
        }
        let bytes = len.checked_mul(size_of::<T>()).filter(|bytes| isize::try_from(*bytes).is_ok());
        let start = NonNull::new(start.cast_mut()).ok_or(DdnStatus::Null)?;
        if !start.is_aligned() {
            return Err(DdnStatus::Misaligned);
        }
        if bytes.and_then(|bytes| start.addr().get().checked_add(bytes)).is_none() {
            return Err(DdnStatus::Length);
        }
        Ok(Self { start, len })
    }

    /// Its addresses.
    pub(crate) fn span(self) -> Span {
        let start = self.start.addr().get();
        Span { start, end: start.wrapping_add(self.len.wrapping_mul(size_of::<T>())) }
    }

    /// The first element, to be read or written as a whole.
    pub(crate) fn as_ptr(self) -> *mut T {
        self.start.as_ptr()
    }
}

impl<T: AnyBitPattern> Lent<T> {
    /// Borrows the elements for reading.
    ///
    /// # Safety
    /// There are so many elements, and nothing writes to them during `'a`.
    pub(crate) unsafe fn as_slice<'a>(self) -> &'a [T] {
        // SAFETY: not null, aligned and of a possible size, as `many` has seen; the rest is the caller's promise.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// Borrows the elements for writing.
    ///
    /// # Safety
    /// There are so many elements, and nothing else reads or writes them during `'a`.
    pub(crate) unsafe fn as_mut_slice<'a>(self) -> &'a mut [T] {
        // SAFETY: not null, aligned and of a possible size, as `many` has seen; the rest is the caller's promise.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}
