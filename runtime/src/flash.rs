//! Files in flash, where the runtime can read them as they lie.

/// Bytes that begin at an address divisible by 16; [`flash!`](crate::flash) makes one.
#[derive(Debug)]
#[repr(C, align(16))]
pub struct Aligned<T: ?Sized>(pub T);

/// Places a file in the image, aligned, as `&'static [u8]`.
///
/// The path is one of `include_bytes!`: relative to the source file.
///
/// ```
/// let file: &'static [u8] = ddn_runtime::flash!(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
/// assert!(file.as_ptr().addr().is_multiple_of(16));
/// ```
#[macro_export]
macro_rules! flash {
    ($path:expr) => {{
        static FILE: &$crate::Aligned<[u8]> = &$crate::Aligned(*include_bytes!($path));
        &FILE.0
    }};
}
