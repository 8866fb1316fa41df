//! The project's own scenarios on real containers: those tagged `@quick`, which hold on healthy software, and the
//! negative controls among them, which must be caught.

use std::process::ExitCode;

fn main() -> ExitCode {
    pgquake::Harness::new().features(["features"]).tags("@quick").test_main()
}
