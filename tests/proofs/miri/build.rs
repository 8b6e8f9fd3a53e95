//! Makes the files that the program runs, outside of Miri.

use std::path::Path;
use std::{env, fs};

use fixture::{Metadata, Random, Tensors, encode, metadata, record};

#[path = "../../../runtime/fixture/mod.rs"]
mod fixture;
#[path = "../../../runtime/fixture/integers.rs"]
mod integers;

/// The widths of a chain of layers: eight rows or more, and columns of every number modulo eight.
const WIDTHS: [usize; 10] = [5, 10, 11, 12, 14, 15, 13, 9, 8, 9];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../../../runtime");
    let file = network();
    let flipped = |at: usize| {
        let mut file = file.clone();
        file[at] ^= 2;
        file
    };
    let graph = file.windows(9).position(|window| window == b"gru:10>11").expect("a graph");
    for (name, bytes) in [
        ("network", file.clone()),
        ("episode", encode(&Metadata::new(), &record(&file, &[0], 1, 11))),
        ("header", flipped(graph)),
        ("weights", flipped(file.len() - 1000)),
        ("integers", integer_network()),
        ("wide", wide_network()),
    ] {
        let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
        let path = Path::new(&out).join(name).with_extension("safetensors");
        fs::write(&path, bytes).expect("can be written");
        if name == "network" || name == "integers" {
            ddn_runtime::build::policy(name, path).expect("is a policy");
        }
    }
}

/// A linear layer with a whole group of rows and one row more.
fn wide_network() -> Vec<u8> {
    let mut random = Random(9);
    let mut tensors = Tensors::new();
    tensors.insert("fc.weight".to_owned(), random.tensor(&[33, 6], 0.5));
    tensors.insert("fc.bias".to_owned(), random.tensor(&[33], 0.5));
    let names: Vec<String> = (0..33).map(|action| format!("a{action}")).collect();
    encode(&metadata("linear:0>1:fc", "obs:6", 1, &names.join(",")), &tensors)
}

/// A layer of every kind that computes with integers, with one recorded step.
fn integer_network() -> Vec<u8> {
    let mut tensors = integers::network(3);
    let recorded = record(&integers::file(&tensors), &[0], 1, 4);
    let recorded =
        recorded.into_iter().map(|(name, (shape, values))| (name, (shape, integers::Numbers::F32(values))));
    tensors.extend(recorded);
    integers::file(&tensors)
}

/// Linear layers, a block and a recurrent layer, with one recorded step.
fn network() -> Vec<u8> {
    let (input, last) = (WIDTHS[0], WIDTHS[WIDTHS.len() - 1]);
    let mut random = Random(7);
    let (mut tensors, mut graph) = (Tensors::new(), String::new());
    let mut add = |name: &str, shape: &[usize]| {
        tensors.insert(name.into(), random.tensor(shape, 0.5));
    };
    for (index, pair) in WIDTHS.windows(2).enumerate() {
        add(&format!("fc{index}.weight"), &[pair[1], pair[0]]);
        add(&format!("fc{index}.bias"), &[pair[1]]);
        graph += &format!("linear:{index}>{}:fc{index};", index + 1);
    }
    // Slots 8 and 9 are the last two of the chain.
    graph += "folded_block:8,0,9>10:block;gru:10>11:gru;linear:11>12:out";
    add("block.weight", &[input, last, WIDTHS[8]]);
    for (name, shape) in [
        ("gru.weight_ih", &[3 * last, last][..]),
        ("gru.weight_hh", &[3 * last, last]),
        ("gru.bias_ih", &[3 * last]),
        ("gru.bias_hh", &[3 * last]),
        ("out.weight", &[3, last]),
        ("out.bias", &[3]),
    ] {
        add(name, shape);
    }
    let about = metadata(&graph, &format!("obs:{input}"), 1, "a,b,c");
    tensors.extend(record(&encode(&about, &tensors), &[0], 1, 8));
    encode(&about, &tensors)
}
