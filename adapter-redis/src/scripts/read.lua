-- What is kept of a group, the newest first.
-- KEYS: hash, stream. ARGV: most of them, age in ms (0: nothing is kept), fresh epoch, life of the hash in ms, epoch, number.
-- Without the last four the newest are read, whatever was seen.
local meta, stream = KEYS[1], KEYS[2]
local known = redis.call('HMGET', meta, 'e', 'o')
local epoch, top, limit = known[1], tonumber(known[2]), tonumber(ARGV[1])
if not epoch then
    if not ARGV[3] then
        return {}
    end
    epoch, top = ARGV[3], 0
    redis.call('DEL', stream)
    redis.call('HDEL', meta, 'c', 'f')
    redis.call('HSET', meta, 'e', epoch, 'o', 0, 't', text(clock()))
    redis.call('PEXPIRE', meta, ARGV[4])
end
if ARGV[2] == '0' or (ARGV[5] and (ARGV[5] ~= epoch or tonumber(ARGV[6]) >= top)) then
    return {epoch, top, top, {}}
end
redis.call('XTRIM', stream, 'MINID', text(math.max(clock() - ARGV[2] * 1000, 0)))
local length = redis.call('XLEN', stream)
if ARGV[6] then
    limit = math.min(limit, top - ARGV[6])
end
local entries = {}
if limit > 0 then
    for i, entry in ipairs(redis.call('XREVRANGE', stream, '+', '-', 'COUNT', limit)) do
        entries[i] = {entry[1], entry[2][2]}
    end
end
return {epoch, top, top - length, entries}
