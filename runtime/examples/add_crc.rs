//! Gives a file of `F32` tensors the CRC that `ddn_runtime::Model::verify` asks for; its data keep their bits.
//!
//! `cargo run -p ddn-runtime --release --example add_crc -- FILE…`
#![allow(clippy::print_stdout)]

use std::{env, error::Error, fs};

use safetensors::{Dtype, SafeTensors};

#[path = "../fixture/mod.rs"]
mod fixture;

fn main() -> Result<(), Box<dyn Error>> {
    for path in env::args().skip(1) {
        let before = fs::read(&path)?;
        let (_, header) = SafeTensors::read_metadata(&before)?;
        let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
        let mut tensors = fixture::Tensors::new();
        for (name, view) in SafeTensors::deserialize(&before)?.iter() {
            if view.dtype() != Dtype::F32 {
                return Err(format!("{path}: {name} is {:?}", view.dtype()).into());
            }
            let (words, _) = view.data().as_chunks::<4>();
            let values = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
            tensors.insert(name.to_owned(), (view.shape().to_vec(), values));
        }
        let after = fixture::encode(&metadata, &tensors);
        println!("{path}: {} bytes, before {}", after.len(), before.len());
        fs::write(&path, after)?;
    }
    Ok(())
}
