// Laravel Echo over pusher-js, both unmodified, two users with integer ids.
//
// usage: node echo.mjs PORT KEY SECRET
// Plays one scene to its end and says what was seen, in lines of JSON.

import Echo from 'laravel-echo';
import PusherClient from 'pusher-js';
import Pusher from 'pusher';

const [port, key, secret] = process.argv.slice(2);
const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');
const server = new Pusher({ appId: '1001', key, secret, host: '127.0.0.1', port, useTLS: false });

// What Laravel's `/broadcasting/auth` answers: the user's id is a number there.
function echo(id, name) {
  const member = { user_id: id, user_info: { id, name } };
  const authorizer = ({ name: channel }) => ({
    authorize(socketId, callback) {
      const data = channel.startsWith('presence-') ? member : undefined;
      callback(null, server.authorizeChannel(socketId, channel, data));
    },
  });
  const client = new PusherClient(key, {
    wsHost: '127.0.0.1', wsPort: Number(port), forceTLS: false, enabledTransports: ['ws'], cluster: 'x', authorizer,
  });
  return new Echo({ broadcaster: 'pusher', client, key });
}

const once = (act) => new Promise(act);
const [ann, bob] = [echo(1, 'Ann'), echo(2, 'Bob')];

const annsRoom = ann.join('room');
await once((done) => annsRoom.here((users) => { say({ who: 'ann', saw: 'here', users }); done(); }));
const joined = once((done) => annsRoom.joining((user) => { say({ who: 'ann', saw: 'joining', user }); done(); }));
const left = once((done) => annsRoom.leaving((user) => { say({ who: 'ann', saw: 'leaving', user }); done(); }));
const bobsRoom = bob.join('room');
await once((done) => bobsRoom.here((users) => {
  say({ who: 'bob', saw: 'here', users: users.toSorted((one, other) => one.id - other.id) });
  done();
}));
await joined;

const whispered = once((done) => annsRoom.listenForWhisper('typing', (data) => { say({ who: 'ann', saw: 'whisper', data }); done(); }));
bobsRoom.whisper('typing', { name: 'Bob' });
await whispered;

const orders = ann.private('orders.1');
await once((done) => orders.subscribed(done));
const shipped = once((done) => orders.listen('.shipped', (data) => { say({ who: 'ann', saw: 'shipped', data }); done(); }));
// As Laravel broadcasts: the event's fields as JSON.
await server.trigger('private-orders.1', 'shipped', { order: { id: 1 } });
await shipped;

bob.leave('room');
await left;
ann.disconnect();
bob.disconnect();
say({ saw: 'the end' });
