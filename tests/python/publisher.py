"""Everything that an app's server does with the Python library: `publisher.py PORT`, answers as lines of JSON.

Known peculiarity of the library: it sends `body_md5` on GET requests too. (Its `terminate_user_connections` asks an
address without the app, which no server has; it is left out.)
"""

import json
import sys

import pusher

client = pusher.Pusher(
    app_id="1001", key="app-key", secret="app-secret", host="127.0.0.1", port=int(sys.argv[1]), ssl=False
)


def say(name, act):
    try:
        answer = act()
    except Exception as error:
        answer = f"{type(error).__name__}: {error}"
    print(json.dumps({"did": name, "answer": answer}), flush=True)


say("trigger", lambda: client.trigger("room", "greeting", {"text": "hello ünï"}))
say("several", lambda: client.trigger(["room", "cache-room"], "greeting", "two"))
say("batch", lambda: client.trigger_batch([{"channel": "room", "name": "batched", "data": "three"}]))
say("channels", lambda: client.channels_info("presence-", ["user_count"]))
say("channel", lambda: client.channel_info("presence-room", ["user_count", "subscription_count"]))
say("users", lambda: client.users_info("presence-room"))
say("odd", lambda: client.channel_info("presence-a@b,c;d=e.f-g_H9", ["user_count"]))
say("odd_users", lambda: client.users_info("presence-a@b,c;d=e.f-g_H9"))
say("to_user", lambda: client.send_to_user("ann", "message", "four"))
say("wrong", lambda: client.channels_info("private-", ["user_count"]))
