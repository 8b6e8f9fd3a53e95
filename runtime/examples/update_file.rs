//! Writes what a device is sent: the record of an image, and the image.
//!
//!     cargo run -p ddn-runtime --features store --example update_file -- IMAGE SEQUENCE OUT [SIGNATURE]
//!
//! To sign with OpenSSL 3, write OUT without a signature first; then, with an Ed25519 key in `key.pem`:
//!
//!     (head -c 28 OUT; cat IMAGE) > message
//!     openssl pkeyutl -sign -rawin -inkey key.pem -in message -out SIGNATURE
//!     openssl pkey -in key.pem -pubout -outform DER | tail -c 32 > public_key

use std::error::Error;
use std::{env, fs};

use ddn_runtime::store::Record;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (image, sequence, out, signature) = match arguments.as_slice() {
        [image, sequence, out] => (image, sequence, out, None),
        [image, sequence, out, signature] => (image, sequence, out, Some(signature)),
        _ => return Err("usage: update_file IMAGE SEQUENCE OUT [SIGNATURE]".into()),
    };
    let image = fs::read(image)?;
    let mut record = Record::new(&image, sequence.parse()?).ok_or("the image is empty or too long")?;
    if let Some(signature) = signature {
        let signature = fs::read(signature)?;
        record = record.signed(signature.try_into().map_err(|_| "a signature has 64 bytes")?);
    }
    fs::write(out, [record.as_bytes(), image.as_slice()].concat())?;
    Ok(())
}
