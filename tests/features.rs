//! The project's own scenarios on real containers: those tagged `@quick`, which hold on healthy software, and the
//! negative controls among them, which must be caught. Where nothing failed, what a machine that stood still left unproven is
//! tried once more.

use std::process::ExitCode;

fn main() -> ExitCode {
    pgquake::Harness::new().features(["features"]).tags("@quick").again_if_unproven(true).test_main()
}
