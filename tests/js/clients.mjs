// Unmodified pusher-js clients and an unmodified pusher server library, told what to do in lines of JSON.
//
// usage: node clients.mjs PORT KEY SECRET
// Says what they saw, in lines of JSON: {who, saw, channel?, data?, …}. The orders are the functions of `orders`.

import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import PusherClient from 'pusher-js';
import Pusher from 'pusher';

const [port, key, secret] = process.argv.slice(2);
const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');

const library = (secret) => new Pusher({ appId: '1001', key, secret, host: '127.0.0.1', port, useTLS: false });
const [server, stranger] = [library(secret), library('another secret')];
const clients = new Map();

// The app's own authorisation endpoint. What it signs for a forged channel is worth nothing.
const endpoint = createServer((request, response) => {
  let body = '';
  request.on('data', (part) => (body += part));
  request.on('end', () => {
    const asked = new URLSearchParams(body);
    const [socketId, channel] = [asked.get('socket_id'), asked.get('channel_name')];
    const signer = channel.includes('forged') ? stranger : server;
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(signer.authorizeChannel(socketId, channel)));
  });
});
endpoint.listen(0, '127.0.0.1', () => say({ saw: 'listening' }));

const orders = {
  connect({ who, key: own = key }) {
    const client = new PusherClient(own, {
      wsHost: '127.0.0.1', wsPort: Number(port), forceTLS: false, enabledTransports: ['ws'], cluster: 'x',
      channelAuthorization: { endpoint: `http://127.0.0.1:${endpoint.address().port}/`, transport: 'ajax' },
    });
    clients.set(who, client);
    client.connection.bind('state_change', ({ current }) => {
      say({ who, saw: 'state', state: current, socket_id: client.connection.socket_id ?? null });
    });
    client.connection.bind('error', (error) => say({ who, saw: 'error', code: error?.error?.data?.code ?? null }));
  },
  subscribe({ who, channel }) {
    const subscription = clients.get(who).subscribe(channel);
    subscription.bind_global((event, data) => say({ who, saw: event, channel, data }));
  },
  unsubscribe({ who, channel }) {
    clients.get(who).unsubscribe(channel);
  },
  unbind({ who, channel }) {
    clients.get(who).channel(channel).unbind_global();
  },
  send({ who, channel, event, data }) {
    say({ who, saw: 'sent', event, ok: clients.get(who).channel(channel).trigger(event, data) });
  },
  async trigger({ who = 'server', channels, event, data, socket_id }) {
    const sender = who === 'stranger' ? stranger : server;
    try {
      const answer = await sender.trigger(channels, event, data, socket_id ? { socket_id } : undefined);
      say({ who, saw: 'answer', event, status: answer.status, body: await answer.text() });
    } catch (error) {
      say({ who, saw: 'answer', event, status: error.status ?? null, body: error.body ?? String(error) });
    }
  },
};

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const order = JSON.parse(line);
  orders[order.do](order);
});
// Whoever started this holds the other end.
lines.on('close', () => process.exit(0));
