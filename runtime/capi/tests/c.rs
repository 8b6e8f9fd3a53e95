//! C programs with this library: on the host, and on a Cortex-M4F in QEMU with the bits of the host.
//! `tests/run capi` installs what they need.
#![allow(missing_docs)]

mod c_program {
    use std::path::{Path, PathBuf};
    use std::process::{Command, Output};

    /// C that a strict compiler accepts.
    const STRICT: &[&str] = &[
        "-Wall",
        "-Wextra",
        "-Wpedantic",
        "-Wconversion",
        "-Wstrict-prototypes",
        "-Wmissing-prototypes",
        "-Wundef",
        "-Werror",
    ];

    fn here() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    fn top() -> PathBuf {
        here().join("../..")
    }

    fn asset(name: &str) -> PathBuf {
        top().join("examples/firmware/assets").join(name)
    }

    /// Where the built files are: this test lies in `target/PROFILE/deps`.
    fn target() -> PathBuf {
        let test = std::env::current_exe().expect("this test has a path");
        test.ancestors().nth(3).expect("it is in the target folder").to_owned()
    }

    fn output(command: &mut Command) -> Output {
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    fn lines(command: &mut Command) -> Vec<String> {
        let output = output(command);
        let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{command:?}\n{out}\n{said}");
        out.lines().map(str::to_owned).collect()
    }

    fn cargo() -> Command {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(top());
        cargo
    }

    /// `make` in the folder of the C program, with a build folder of its own.
    fn make(build: &str, arguments: &[&str]) -> Command {
        let mut make = Command::new("make");
        make.current_dir(top().join("examples/c")).arg("--silent");
        make.arg(format!("BUILD={}", Path::new(env!("CARGO_TARGET_TMPDIR")).join(build).display()));
        make.arg(format!("CARGO_TARGET_DIR={}", target().display())).args(arguments);
        make
    }

    #[test]
    fn the_board_says_what_the_host_says() {
        let board = lines(&mut make("board", &["run"]));
        let mut host = cargo();
        host.args(["run", "--release", "-p", "ddn-runtime", "--example", "replay", "--"]);
        let host = lines(host.arg(asset("policy.safetensors")).arg(asset("episodes.safetensors")));
        assert!(host.len() > 40, "the host replays only {} lines", host.len());
        assert_eq!(board[..host.len()], host[..]);
        for line in &board[host.len()..] {
            eprintln!("{line}");
        }
    }

    #[test]
    fn no_panic_can_be_reached() {
        lines(&mut make("proof", &["PROOF=1"]));
        // The proof is one only if a build that does keep such paths, an unoptimised one, is refused.
        let refused = output(&mut make("refused", &["PROOF=1", "PROFILE=dev"]));
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains("a_panic_can_be_reached"), "{said}");
    }

    #[test]
    fn mistakes_have_codes_on_the_host() {
        let mut build = cargo();
        build.args(["rustc", "--release", "-p", "ddn-runtime-capi", "--lib", "--crate-type", "staticlib"]);
        lines(build.arg("--target-dir").arg(target()));
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("errors");
        let mut compile = Command::new("cc");
        compile.args(["-std=c99", "-O1", "-g"]).args(STRICT).arg("-I").arg(here().join("include"));
        compile.arg(here().join("tests/errors.c")).arg(target().join("release/libddn_runtime_capi.a"));
        lines(compile.args(["-lpthread", "-ldl", "-lm", "-o"]).arg(&program));
        let said = lines(Command::new(program).arg(asset("policy.safetensors")));
        assert!(said.last().is_some_and(|line| line.ends_with("checks, 0 failures")), "{said:?}");
    }

    #[test]
    fn the_header_is_that_of_the_crate() {
        let cbindgen = std::env::var_os("DDN_CBINDGEN").expect("DDN_CBINDGEN: see tests/run");
        let mut verify = Command::new(cbindgen);
        verify.current_dir(here()).args(["--quiet", "--verify", "--output", "include/ddn_runtime.h", "."]);
        lines(&mut verify);
    }

    #[test]
    fn the_header_is_one_for_c_and_for_cpp() {
        for language in [["-xc", "-std=c99"], ["-xc", "-std=c17"], ["-xc++", "-std=c++11"]] {
            let mut compile = Command::new("arm-none-eabi-gcc");
            let cpp = language[0] == "-xc++";
            let strict = STRICT.iter().filter(|flag| !(cpp && flag.contains("prototypes")));
            compile.args(language).args(strict).args(["-ffreestanding", "-fsyntax-only"]);
            lines(compile.arg(here().join("include/ddn_runtime.h")));
        }
    }
}
