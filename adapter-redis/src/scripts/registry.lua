-- Manages seats and their leases.
-- KEYS: seats, dead, watchers, groups of the seat, cleared seats. ARGV: operation, seat, lease in microseconds (for 'clear': how long it is
-- remembered), then for 'beat' whether it watches filters ('1'), for 'register', 'unregister' and 'clear' (which forgets a seat without
-- groups) groups.
local seats, dead, watchers, places, given_up = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local what, seat = ARGV[1], ARGV[2]
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
        redis.call('ZREM', seats, seat)
        redis.call('ZREM', dead, seat)
        redis.call('ZREM', watchers, seat)
        redis.call('ZADD', given_up, ends, seat)
    end
    return 1
end
if what == 'register' then
    if redis.call('ZSCORE', dead, seat) or redis.call('ZSCORE', given_up, seat) then
        -- The node is running but does not know yet: its next beat must count as the first.
        return 0
    end
    redis.call('ZADD', seats, 'NX', ends, seat)
    for i = 4, #ARGV do
        redis.call('SADD', places, ARGV[i])
    end
    return 1
end
local anew = redis.call('ZADD', seats, ends, seat)
if ARGV[4] == '1' then
    redis.call('ZADD', watchers, ends, seat)
else
    redis.call('ZREM', watchers, seat)
end
redis.call('ZREMRANGEBYSCORE', given_up, '-inf', text(time))
redis.call('ZREMRANGEBYSCORE', watchers, '-inf', text(time))
for _, silent in ipairs(redis.call('ZRANGEBYSCORE', seats, '-inf', text(time), 'LIMIT', 0, 64)) do
    redis.call('ZREM', seats, silent)
    redis.call('ZADD', dead, text(time), silent)
end
-- The node that learns of a dead one clears it; another learns of it if that takes longer than a lease.
local due = redis.call('ZRANGEBYSCORE', dead, '-inf', text(time), 'LIMIT', 0, 64)
for _, silent in ipairs(due) do
    redis.call('ZADD', dead, ends, silent)
end
return {anew, redis.call('ZCARD', watchers), time, due}
