//! Services that something is put around, in their own container, before they start: a disk that can be broken, a watchdog.
//! Each wrapper is a script that does its part as root and becomes the next; the last one becomes the service, as its own
//! user. So the service's image stays as it is, and what is around it dies with it.

/// A disk of `images/disk`, in a service's own container.
pub struct Disk<'a> {
    /// The program of the disk's image.
    pub program: &'a [u8],
    /// The directory that it is mounted over.
    pub directory: &'a str,
    /// The port on the loopback address where the disk takes commands.
    pub control_port: u16,
}

/// A watchdog device of `images/watchdog`, in the container of the service that feeds it.
pub struct Watchdog<'a> {
    /// The program of the watchdog's image.
    pub program: &'a [u8],
    /// Where its file system is mounted.
    pub directory: &'a str,
}

/// What is put around a service.
pub struct Wrapping<'a> {
    /// The user that the service runs as.
    pub user: &'a str,
    /// The entry point of the service's image.
    pub entry_point: &'a str,
    pub disk: Option<Disk<'a>>,
    pub watchdog: Option<Watchdog<'a>>,
}

/// Becomes the service: its own user, and none of the capabilities that its container got for what is around it.
const AS_USER: (&str, &str) = (
    "/usr/local/bin/pgquake-as-user.sh",
    r#"#!/bin/sh
set -eu
user=$1
shift
HOME=$(getent passwd "$user" | cut -d : -f 6)
export HOME
exec setpriv --reuid="$user" --regid="$user" --init-groups --inh-caps=-all --bounding-set=-all -- "$@"
"#,
);

/// Mounts the disk and goes on.
const ON_DISK: (&str, &str) = (
    "/usr/local/bin/pgquake-on-disk.sh",
    r#"#!/bin/sh
set -eu
directory=$1 port=$2
shift 2
rm -f /run/pgquake-disk
"$(dirname "$0")/pgquake-disk" "$directory" "$directory" --listen "127.0.0.1:$port" > /run/pgquake-disk 2>&1 &
disk=$!
until grep -q '^mounted' /run/pgquake-disk; do
  kill -0 "$disk" 2> /dev/null || { echo "failed to mount the disk: $(cat /run/pgquake-disk)" >&2; exit 1; }
  sleep 0.02
done
exec "$@"
"#,
);

/// Mounts the watchdog's device and goes on. It takes its host off the network by the holder's `nft`: the host's first
/// process is the holder's. What it prints goes into the service's log, which the harness follows.
const WITH_WATCHDOG: (&str, &str) = (
    "/usr/local/bin/pgquake-with-watchdog.sh",
    r#"#!/bin/sh
set -eu
directory=$1 user=$2 silence=$3
shift 3
mkdir -p "$directory"
"$(dirname "$0")/pgquake-watchdog" "$directory" --user "$user" -- nsenter --target 1 --mount -- nft "$silence" &
watchdog=$!
until [ -e "$directory/watchdog" ]; do
  kill -0 "$watchdog" 2> /dev/null || { echo "failed to mount the watchdog" >&2; exit 1; }
  sleep 0.02
done
exec "$@"
"#,
);

/// Where the images have their programs, and where a service that one is put around gets it: beside the scripts.
pub(super) const DISK_PROGRAM: &str = "/usr/local/bin/pgquake-disk";
pub(super) const WATCHDOG_PROGRAM: &str = "/usr/local/bin/pgquake-watchdog";

/// What a container is started with instead of its image's entry point.
pub(super) struct Wrapped {
    pub entry_point: &'static str,
    /// What the wrappers take before the service's own command.
    pub command: Vec<String>,
    /// Programs and scripts: path and content.
    pub executables: Vec<(&'static str, Vec<u8>)>,
    pub capabilities: Vec<&'static str>,
}

impl Wrapping<'_> {
    /// `None`: nothing is around it. `silence` is what `nft` takes to make its host silent.
    pub(super) fn wrapped(&self, silence: &str) -> Option<Wrapped> {
        let mut layers: Vec<((&'static str, &'static str), Vec<String>)> = Vec::new();
        let mut executables = Vec::new();
        // Mounts take it.
        let mut capabilities = vec!["SYS_ADMIN"];
        if let Some(watchdog) = &self.watchdog {
            let arguments = [watchdog.directory, self.user, silence].map(str::to_owned);
            layers.push((WITH_WATCHDOG, arguments.into()));
            executables.push((WATCHDOG_PROGRAM, watchdog.program.to_vec()));
            capabilities.push("NET_ADMIN");
        }
        if let Some(disk) = &self.disk {
            layers.push((ON_DISK, vec![disk.directory.to_owned(), disk.control_port.to_string()]));
            executables.push((DISK_PROGRAM, disk.program.to_vec()));
        }
        let ((entry_point, _), _) = layers.first()?;
        let entry_point = *entry_point;
        layers.push((AS_USER, vec![self.user.to_owned(), self.entry_point.to_owned()]));
        let mut command = Vec::new();
        for (index, ((path, script), arguments)) in layers.into_iter().enumerate() {
            // The first is the entry point itself.
            command.extend((index > 0).then(|| path.to_owned()));
            command.extend(arguments);
            executables.push((path, script.as_bytes().to_vec()));
        }
        Some(Wrapped { entry_point, command, executables, capabilities })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(disk: bool, watchdog: bool) -> Option<Wrapped> {
        let disk = disk.then_some(Disk { program: b"disk", directory: "/data", control_port: 7000 });
        let watchdog = watchdog.then_some(Watchdog { program: b"watchdog", directory: "/dev/own" });
        Wrapping { user: "postgres", entry_point: "/entry.sh", disk, watchdog }.wrapped("silent")
    }

    #[test]
    fn each_wrapper_becomes_the_next_and_the_last_the_service() {
        assert!(wrapped(false, false).is_none());
        let both = wrapped(true, true).unwrap();
        assert_eq!(both.entry_point, WITH_WATCHDOG.0);
        let command = [
            ["/dev/own", "postgres", "silent"].as_slice(),
            &[ON_DISK.0, "/data", "7000"],
            &[AS_USER.0, "postgres", "/entry.sh"],
        ];
        assert_eq!(both.command, command.concat());
        assert_eq!(both.executables.len(), 5, "three scripts and two programs");
        assert_eq!(both.capabilities, ["SYS_ADMIN", "NET_ADMIN"]);
        let disk = wrapped(true, false).unwrap();
        assert_eq!((disk.entry_point, disk.capabilities), (ON_DISK.0, vec!["SYS_ADMIN"]));
        assert_eq!(disk.command, ["/data", "7000", AS_USER.0, "postgres", "/entry.sh"]);
    }
}
