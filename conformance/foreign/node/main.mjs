// Runs one library of this folder: main.mjs LIBRARY server, or main.mjs LIBRARY client URL AGENT.
//
// Its module has `serve(listening)`, which calls `listening(port)`, and `open(url, onMessage)`, which calls `onMessage(first)` with each message
// and resolves when the connection has ended, whatever ended it; it echoes. Either may be missing.

const AT_A_TIME = 8;
const CASE_LIMIT = 120_000;
const [name, role, url, agent] = process.argv.slice(2);
const library = await import(`./${name}.mjs`);

// Resolves with the first message, or when it is late.
async function echo(path) {
  let first;
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(() => resolve(console.log(`${path}: not done in time`)), CASE_LIMIT);
  });
  const ended = library.open(`${url}${path}`, (data) => (first ??= String(data)));
  await Promise.race([ended, late]);
  clearTimeout(timer);
  return first;
}

if (role === 'server') {
  library.serve((port) => console.log(`listening on ws://127.0.0.1:${port}`));
} else {
  const count = Number(await echo('/getCaseCount'));
  if (!(count > 0)) throw new Error('no cases');
  let next = 1;
  const work = async () => {
    while (next <= count) await echo(`/runCase?case=${next++}&agent=${agent}`);
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  await echo(`/updateReports?agent=${agent}`);
  process.exit(0);
}
