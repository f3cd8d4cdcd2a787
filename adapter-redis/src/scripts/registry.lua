-- Manages incarnations and their leases.
-- KEYS: incarnations, dead, watchers, groups of the incarnation, cleared incarnations. ARGV: operation, incarnation, lease in microseconds (for 'clear': how long it is
-- remembered), then for 'beat' whether it watches filters ('1'), for 'register', 'unregister' and 'clear' (which forgets an incarnation without
-- groups) groups.
local incarnations, dead, watchers, places, given_up = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local what, incarnation = ARGV[1], ARGV[2]
if what == 'groups' then
    return redis.call('SMEMBERS', places)
end
local time = clock()
local ends = text(time + ARGV[3])
if what == 'unregister' or what == 'clear' then
    for i = 4, #ARGV do
        redis.call('SREM', places, ARGV[i])
    end
    if what == 'clear' and redis.call('SCARD', places) == 0 then
        redis.call('ZREM', incarnations, incarnation)
        redis.call('ZREM', dead, incarnation)
        redis.call('ZREM', watchers, incarnation)
        redis.call('ZADD', given_up, ends, incarnation)
    end
    return 1
end
if what == 'register' then
    if redis.call('ZSCORE', dead, incarnation) or redis.call('ZSCORE', given_up, incarnation) then
        -- The node is running but does not know yet: its next beat must count as the first.
        return 0
    end
    redis.call('ZADD', incarnations, 'NX', ends, incarnation)
    for i = 4, #ARGV do
        redis.call('SADD', places, ARGV[i])
    end
    return 1
end
local anew = redis.call('ZADD', incarnations, ends, incarnation)
if ARGV[4] == '1' then
    redis.call('ZADD', watchers, ends, incarnation)
else
    redis.call('ZREM', watchers, incarnation)
end
redis.call('ZREMRANGEBYSCORE', given_up, '-inf', text(time))
redis.call('ZREMRANGEBYSCORE', watchers, '-inf', text(time))
for _, silent in ipairs(redis.call('ZRANGEBYSCORE', incarnations, '-inf', text(time), 'LIMIT', 0, 64)) do
    redis.call('ZREM', incarnations, silent)
    redis.call('ZADD', dead, text(time), silent)
end
-- The node that learns of a dead one clears it; another learns of it if that takes longer than a lease.
local due = redis.call('ZRANGEBYSCORE', dead, '-inf', text(time), 'LIMIT', 0, 64)
for _, silent in ipairs(due) do
    redis.call('ZADD', dead, ends, silent)
end
return {anew, redis.call('ZCARD', watchers), time, due}
