// Receives webhooks and judges them as an app's server would, with the `webhook` of the pusher library.
//
// usage: node receiver.mjs KEY SECRET [STATUS…]
// Answers the first requests with the statuses given, all later ones with 200. Says what it saw in lines of JSON.

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import Pusher from 'pusher';

const [key, secret, ...statuses] = process.argv.slice(2);
const pusher = new Pusher({ appId: '1001', key, secret, host: '127.0.0.1', port: '1', useTLS: false });
const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');

const server = createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const rawBody = Buffer.concat(parts).toString();
    const webhook = pusher.webhook({ headers: request.headers, rawBody });
    const valid = webhook.isValid();
    const status = Number(statuses.shift() ?? 200);
    const [event, ...more] = valid ? webhook.getEvents() : [{}];
    say({
      saw: 'webhook', valid, status, method: request.method, path: request.url, more: more.length,
      content_type: request.headers['content-type'], extra: request.headers['x-extra'] ?? null,
      name: event.name ?? null, channel: event.channel ?? null, event,
      time_ms: valid ? webhook.getTime().getTime() : null,
      at_ms: performance.now(), digest: createHash('sha256').update(rawBody).digest('hex'),
    });
    response.writeHead(status).end();
  });
});
server.listen(0, '127.0.0.1', () => say({ saw: 'listening', port: server.address().port }));
// Whoever started this holds the other end: when it is gone, so is the need for a receiver.
process.stdin.on('end', () => process.exit(0)).resume();
