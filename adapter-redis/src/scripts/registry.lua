-- Which seats there are, and until when.
-- KEYS: seats, dead, watchers, groups of the seat, those that were cleared away once. ARGV: what is done, seat, lease in microseconds, then for 'beat' whether it watches
-- filters ('1'), for 'register', 'unregister' and 'clear' (which forgets a seat without groups) groups.
local seats, dead, watchers, places, once = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local what, seat = ARGV[1], ARGV[2]
if what == 'groups' then
    return redis.call('SMEMBERS', places)
end
if what == 'clear' and redis.call('ZSCORE', dead, seat) and redis.call('SADD', once, seat) == 1 then
    -- It may have been there still, and have said more before it heard of this: it is cleared away once more, a lease later.
    return 1
end
if what == 'unregister' or what == 'clear' then
    for i = 4, #ARGV do
        redis.call('SREM', places, ARGV[i])
    end
    if what == 'clear' and redis.call('SCARD', places) == 0 then
        redis.call('ZREM', seats, seat)
        redis.call('ZREM', dead, seat)
        redis.call('ZREM', watchers, seat)
        redis.call('SREM', once, seat)
    end
    return 1
end
local time = clock()
local ends = text(time + ARGV[3])
if what == 'register' then
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
redis.call('ZREMRANGEBYSCORE', watchers, '-inf', text(time))
for _, silent in ipairs(redis.call('ZRANGEBYSCORE', seats, '-inf', text(time), 'LIMIT', 0, 64)) do
    redis.call('ZREM', seats, silent)
    redis.call('ZADD', dead, text(time), silent)
end
-- Whoever hears of a dead one clears it away; another hears of it if that takes longer than a lease.
local due = redis.call('ZRANGEBYSCORE', dead, '-inf', text(time), 'LIMIT', 0, 64)
for _, silent in ipairs(due) do
    redis.call('ZADD', dead, ends, silent)
end
return {anew, redis.call('ZCARD', watchers), time, due}
