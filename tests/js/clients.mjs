// Unmodified pusher-js clients and an unmodified pusher server library, told what to do in lines of JSON.
//
// usage: node clients.mjs PORT KEY SECRET
// Says what they saw, in lines of JSON: {who, saw, channel?, data?, …}. The orders are the functions of `orders`. Who
// connects says with it as whom: `member` in presence channels, `user` at signin, and
// `shared_secret` if the app's server gives it that one for encrypted channels instead of the right one; `options` are more of
// pusher-js's own.

import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import PusherClient from 'pusher-js';
import Pusher from 'pusher';

const [port, key, secret] = process.argv.slice(2);
const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');

// Any 32 bytes: what the server must never learn.
const encryptionMasterKeyBase64 = Buffer.alloc(32, 'master key').toString('base64');
const library = (secret) =>
  new Pusher({ appId: '1001', key, secret, host: '127.0.0.1', port, useTLS: false, encryptionMasterKeyBase64 });
const [server, stranger] = [library(secret), library('another secret')];
const clients = new Map();
const people = new Map();

// The app's own authorisation endpoint, for channels and for users. What it signs for a forged channel is worth nothing,
// and for an altered one it sends other bytes than it has signed.
const endpoint = createServer((request, response) => {
  let body = '';
  request.on('data', (part) => (body += part));
  request.on('end', () => {
    const asked = new URLSearchParams(body);
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(authorize(asked.get('socket_id'), asked.get('channel_name'))));
  });
});
endpoint.listen(0, '127.0.0.1', () => say({ saw: 'listening' }));

function authorize(socketId, channel) {
  const [who] = [...clients].find(([, client]) => client.connection.socket_id === socketId);
  const { member, user, shared_secret } = people.get(who);
  say({ who, saw: 'asked', channel });
  if (channel === null) return (who === 'stranger' ? stranger : server).authenticateUser(socketId, user);
  const signer = channel.includes('forged') ? stranger : server;
  const signed = signer.authorizeChannel(socketId, channel, channel.startsWith('presence-') ? member : undefined);
  if (shared_secret) signed.shared_secret = shared_secret;
  if (channel.includes('altered')) signed.channel_data = JSON.stringify(member, null, 1);
  return signed;
}

// Says how the HTTP API answered; `about` is what tells the answer from others.
async function answered(about, request) {
  try {
    const answer = await request;
    say({ saw: 'answer', ...about, status: answer.status, body: await answer.text() });
  } catch (error) {
    say({ saw: 'answer', ...about, status: error.status ?? null, body: error.body ?? String(error) });
  }
}

const orders = {
  connect({ who, key: own = key, member, user, shared_secret, options }) {
    people.set(who, { member, user, shared_secret });
    const url = `http://127.0.0.1:${endpoint.address().port}/`;
    const client = new PusherClient(own, {
      wsHost: '127.0.0.1', wsPort: Number(port), forceTLS: false, enabledTransports: ['ws'], cluster: 'x',
      channelAuthorization: { endpoint: url, transport: 'ajax' },
      userAuthentication: { endpoint: url, transport: 'ajax' },
      ...options,
    });
    clients.set(who, client);
    client.connection.bind('state_change', ({ current }) => {
      say({ who, saw: 'state', state: current, socket_id: client.connection.socket_id ?? null });
    });
    client.connection.bind('error', (error) => {
      say({ who, saw: 'error', code: error?.error?.data?.code ?? error?.data?.code ?? null, at_ms: performance.now() });
    });
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
  // Says what a handler of this one event gets beside its data.
  bind({ who, channel, event }) {
    clients.get(who).channel(channel).bind(event, (data, metadata) => {
      say({ who, saw: 'metadata', channel, event, metadata: metadata ?? null });
    });
  },
  members({ who, channel }) {
    const { count, myID, me, members } = clients.get(who).channel(channel).members;
    say({ who, saw: 'members', channel, count, my_id: myID, me, members });
  },
  disconnect({ who }) {
    clients.get(who).disconnect();
  },
  signin({ who }) {
    const { user } = clients.get(who);
    user.bind_global((event, data) => say({ who, saw: event, channel: null, data }));
    user.watchlist.bind_global((event, data) => say({ who, saw: `watchlist ${event}`, user_ids: data.user_ids }));
    user.signin();
    user.signinDonePromise.then(() => {
      say({ who, saw: 'signed in', user: user.user_data });
      // Only a signin that succeeded has this channel.
      user.serverToUserChannel?.bind('pusher:subscription_succeeded', () => say({ who, saw: 'reachable' }));
    });
  },
  trigger({ who = 'server', channels, event, data, socket_id, info }) {
    const sender = who === 'stranger' ? stranger : server;
    const params = { ...(socket_id && { socket_id }), ...(info && { info }) };
    return answered({ who, event }, sender.trigger(channels, event, data, params));
  },
  batch({ batch }) {
    return answered({ asked: 'batch' }, server.triggerBatch(batch));
  },
  get({ path, params }) {
    return answered({ asked: path }, server.get({ path, params }));
  },
  send_to_user({ user, event, data }) {
    return answered({ event }, server.sendToUser(user, event, data));
  },
  terminate({ user }) {
    return answered({ asked: 'terminate' }, server.terminateUserConnections(user));
  },
};

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const order = JSON.parse(line);
  orders[order.do](order);
});
// Whoever started this holds the other end.
lines.on('close', () => process.exit(0));
