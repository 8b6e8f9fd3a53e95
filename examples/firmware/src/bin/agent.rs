//! One agent of a team: it is told who it is and what it sees over the serial line, and answers with its action.
//!
//! Every board runs this image. The host's end is `examples/fleet`.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use ddn_firmware::uart::Uart;
use ddn_fleet_board::Board;

#[entry]
fn main() -> ! {
    match cortex_m::Peripherals::take() {
        Some(peripherals) => serve(Uart::open(peripherals.NVIC)),
        None => ddn_firmware::exit(Err("peripherals are taken")),
    }
}

fn serve(mut line: Uart) -> ! {
    let mut board = Board::new(ddn_runtime::flash!(env!("DDN_POLICY_FILE")));
    loop {
        let byte = line.read();
        board.receive(byte, |byte| line.write(byte));
    }
}
