//! The command line: arguments in, exit code out. It decides nothing else.

mod by_hand;
mod certificate;
mod compare;
mod exit;
mod list;
mod predict;
mod run;

use std::{io::IsTerminal, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand, ValueEnum};

pub use exit::Exit;

/// Finds out, on real software, whether a PostgreSQL high-availability design keeps its promises.
#[derive(Debug, Parser)]
#[command(name = "pgquake", version, max_term_width = 110, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenarios and judge them; without arguments, the default drill on the documented topology
    Run(run::RunArguments),
    /// Start a topology and leave it running, to look around
    Up {
        /// A topology's name, or the path of its file
        topology: String,
    },
    /// Remove what `up` has started
    Down,
    /// Show what runs
    Status,
    /// Remove whatever a run or `up` has left: containers and networks, found by label
    Clean {
        /// Also the images of other versions of pgquake, but those that a container uses
        #[arg(long)]
        images: bool,
    },
    /// Judge a saved run again, offline; of several shards all as one
    Check {
        /// The run's folder, for example reports/20261121-093000-abcd
        #[arg(required = true)]
        runs: Vec<PathBuf>,
    },
    /// Judge a saved run again and write its report anew
    Report {
        /// The run's folder, or those of all shards
        #[arg(required = true)]
        runs: Vec<PathBuf>,
        /// Write the report here [default: the run's own folder]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Make a certificate of saved runs, which anyone can check
    Certify(certificate::CertifyArguments),
    /// Sign a certificate as its operator, reviewer or owner, by ssh-keygen
    Sign(certificate::SignArguments),
    /// Check a certificate: digests, verdicts, signatures, expiry
    Verify(certificate::VerifyArguments),
    /// Compare two saved runs by phase: what became slower or faster, and what can't be told
    Compare(compare::CompareArguments),
    /// Predict from settings how long clients can't write when the primary's host is lost; nothing is run
    Predict(predict::PredictArguments),
    /// List what there is
    List {
        #[arg(value_enum)]
        what: list::Table,
        /// As a page of the documentation (faults only)
        #[arg(long)]
        markdown: bool,
    },
    /// Show what this machine can and can't do
    Doctor,
    /// Print a topology as a Compose file
    Compose {
        /// A topology's name, or the path of its file
        topology: String,
    },
    /// Print the JSON Schema of topology or claims files, for editors
    Schema {
        /// Of which files
        #[arg(value_enum, default_value_t = SchemaOf::Topology)]
        of: SchemaOf,
    },
}

/// The files that have a schema.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum SchemaOf {
    Topology,
    Claims,
}

/// Reads the command line, does what it says, and returns the documented exit code.
pub async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come as errors too, and are none.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Pass };
            let _ = error.print();
            return exit.into();
        }
    };
    match carry_out(cli.command).await {
        Ok(exit) => exit.into(),
        Err(failure) => failure.tell().into(),
    }
}

async fn carry_out(command: Command) -> Result<Exit, exit::Failure> {
    match command {
        Command::Run(arguments) => run::run(arguments).await,
        Command::Up { topology } => by_hand::up(&topology).await,
        Command::Down => by_hand::down().await,
        Command::Status => by_hand::status().await,
        Command::Clean { images } => by_hand::clean(images).await,
        Command::Check { runs } => run::check(&runs, run::Rendered::No),
        Command::Report { runs, out } => run::check(&runs, out.map_or(run::Rendered::Beside, run::Rendered::To)),
        Command::Certify(arguments) => certificate::certify(arguments),
        Command::Sign(arguments) => certificate::sign(&arguments),
        Command::Verify(arguments) => certificate::verify(&arguments),
        Command::Compare(arguments) => compare::compare(&arguments),
        Command::Predict(arguments) => predict::predict(&arguments),
        Command::List { what, markdown } => list::list(what, markdown),
        Command::Doctor => by_hand::doctor().await,
        Command::Compose { topology } => by_hand::compose(&topology),
        Command::Schema { of } => {
            print(&match of {
                SchemaOf::Topology => crate::topology::schema(),
                SchemaOf::Claims => crate::claims::schema(),
            });
            Ok(Exit::Pass)
        }
    }
}

/// Prints to standard output. A reader that has gone away (`| head`) is no failure.
fn print(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
}

/// Folders in which topologies are looked for before the built-in ones.
fn topology_folders() -> Vec<PathBuf> {
    vec![PathBuf::from("topologies")]
}

/// Whether to print without colours: to a file or a pipe, or where `NO_COLOR` asks for it.
fn plain() -> bool {
    !std::io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some()
}
