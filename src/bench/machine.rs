//! Where the figures were taken: without it they say nothing.

use std::fs;

/// The machine's facts for the report, name and value.
pub fn facts() -> Vec<(String, String)> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let uname = rustix::system::uname();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = value(&read("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let system = read("/etc/os-release").lines().find_map(|line| line.strip_prefix("PRETTY_NAME=").map(unquoted));
    let load = read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned();
    let machine = format!(
        "{}, {cores} cores, {} MiB of memory, {} {}, {}",
        processor(&read("/proc/cpuinfo"), &read("/proc/device-tree/model")),
        memory >> 10,
        uname.sysname().to_string_lossy(),
        uname.release().to_string_lossy(),
        system.unwrap_or_else(|| "unknown system".into()),
    );
    let fact = |name: &str, value: String| (name.to_owned(), value);
    vec![
        fact("Machine", machine),
        fact("Other load at the start", format!("{load} (1-minute average; 0 is a quiet machine)")),
    ]
}

/// The processor's name: x86 says it in `/proc/cpuinfo`, boards in the device tree.
fn processor(cpuinfo: &str, device: &str) -> String {
    let named = |key: &str| {
        let line = cpuinfo.lines().find(|line| line.split(':').next().is_some_and(|name| name.trim() == key));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
    };
    let device = device.trim_matches(['\0', '\n', ' ']);
    let board = (!device.is_empty()).then(|| device.to_owned());
    board.or_else(|| named("model name")).unwrap_or_else(|| std::env::consts::ARCH.into())
}

/// The number of `key` in a text of lines `key: number kB`, as `/proc` writes them.
pub fn value(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

fn unquoted(text: &str) -> String {
    text.trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kilobytes_are_read_from_proc() {
        let text = "VmPeak:\t  900 kB\nVmHWM:\t  186244 kB\nRssAnon:\t 96120 kB\n";
        assert_eq!(value(text, "VmHWM"), Some(186_244));
        assert_eq!(value(text, "Vm"), None);
    }

    #[test]
    fn a_processor_has_a_name_everywhere() {
        assert_eq!(processor("processor\t: 0\nmodel name\t: Cortex X\n", ""), "Cortex X");
        assert_eq!(processor("", "Jetson Orin Nano\0"), "Jetson Orin Nano");
        assert_eq!(processor("", ""), std::env::consts::ARCH);
    }
}
