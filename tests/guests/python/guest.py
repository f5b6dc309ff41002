from wit_world import exports
from wit_world.imports import log
from wit_world.imports.claims import Refusal, Verdict_Pass, Verdict_Refuse


class Lifecycle(exports.Lifecycle):
    def init(self, config):
        log.write(log.Level.INFO, f"python began with {config}")


class Subscribe(exports.Subscribe):
    def check(self, client, request):
        if request.channel == "private-python-closed":
            return Verdict_Refuse(Refusal(403, "Python keeps this channel closed"))
        return Verdict_Pass()
