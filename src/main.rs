//! The falld program.

use falld::cli::{self, Cli, Command};
use falld::exit::Exit;

fn main() -> Exit {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    match &cli.command {
        Command::Check => cli::check::check(&cli),
        Command::Run | Command::Doctor(_) | Command::Replay(_) | Command::Bench(_) => {
            cli::complain("falld: this command is not wired up yet");
            Exit::Failure
        }
    }
}
