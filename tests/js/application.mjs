// An application's own server, as auth-http asks it: who may subscribe to what.
//
// usage: node application.mjs [PORT]
// Answers by the channel's name, and says what it was asked in lines of JSON. Orders on standard input: `{"do":"release"}` lets
// go of the requests that are held back.

import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');
const held = new Set();

const answers = {
  allowed: () => [200, {}],
  refused: () => [403, { message: 'Ada is on holiday' }],
  named: ({ auth }) => [200, { user_id: auth, user_info: { name: `user ${auth}` } }],
  brief: () => [200, { expires_in_ms: 200 }],
  left: () => [204],
  broken: () => [500, { message: 'not for clients' }],
  huge: () => [200, { user_info: 'x'.repeat(2 << 20) }],
};

const server = createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const question = JSON.parse(Buffer.concat(parts).toString());
    const { channel } = question;
    const way = channel.split('-')[1];
    say({ saw: 'question', ...question, authorization: request.headers.authorization ?? null });
    const [status, body] = (answers[way] ?? answers.allowed)(question);
    const answer = () => response.writeHead(status).end(body && JSON.stringify(body));
    if (way !== 'slow') return answer();
    held.add(answer);
    // An asker that goes away before it is answered.
    response.on('close', () => held.delete(answer) && say({ saw: 'gone', channel }));
  });
});

createInterface({ input: process.stdin }).on('line', (line) => {
  if (JSON.parse(line).do !== 'release') return say({ saw: 'a mistake', line });
  const count = held.size;
  for (const answer of held) {
    held.delete(answer);
    answer();
  }
  say({ saw: 'released', count });
}).on('close', () => process.exit(0));

server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => say({ saw: 'listening', port: server.address().port }));
