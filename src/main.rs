//! The falld program.

use falld::cli::{self, Cli, Command};
use falld::exit::Exit;

fn main() -> Exit {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    match &cli.command {
        Command::Run => cli::run::run(cli),
        Command::Check => cli::check::check(&cli),
        Command::Doctor(arguments) => cli::doctor::doctor(&cli, arguments),
        Command::Replay(arguments) => cli::replay::replay(&cli, arguments),
        Command::Bench(arguments) => cli::bench::bench(&cli, arguments),
    }
}
