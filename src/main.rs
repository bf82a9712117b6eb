//! min
use raptr_tui::*;
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let config = config::load::load(&args[0], &args[1..]).unwrap();
    let run = run_dir::RunDir::create(std::path::Path::new("/tmp/runs"), None, &args[0]).unwrap();
    let s = session::spawn(session::Options{job: session::Job::New(run), config, script: vec![], with_history:false, on_thread_start: || {}}).unwrap();
    let last = headless::run(&s.events, &s.commands, headless::Options{json:false,text:true}, |_| {});
    println!("{last:?}");
}
