// Threads, sockets of three kinds, a child: each says a line.
const { Worker, isMainThread, parentPort, workerData } = require("worker_threads");
const net = require("net"), http = require("http"), { spawn } = require("child_process");

if (!isMainThread) {
	let sum = 0;
	for (let i = 0; i < 100; i++)
		sum += i;
	parentPort.postMessage(`worker ${workerData} ${sum}`);
	return;
}
const once = (what, event) => new Promise((done, fail) => what.once(event, done).once("error", fail));
async function talk(kind, where) {
	const server = net.createServer((s) => s.end("hello")).listen(where);
	await once(server, "listening");
	const client = net.connect(kind === "tcp" ? server.address().port : where);
	let said = "";
	client.on("data", (d) => (said += d));
	await once(client, "end");
	console.log(kind, said);
	server.close();
}
async function main() {
	for (let i = 0; i < 4; i++)
		console.log(await once(new Worker(__filename, { workerData: i }), "message"));
	await talk("tcp", 0);
	await talk("unix", "/tmp/workers.sock");
	const server = http.createServer((q, r) => r.end("hello")).listen(0, "localhost");
	await once(server, "listening");
	const r = await fetch(`http://localhost:${server.address().port}/`);
	console.log("http", r.status, await r.text());
	server.close();
	const child = spawn("sh", ["-c", "exit 42"]);
	console.log("child", await once(child, "exit"));
	process.exit(0);
}
main();
