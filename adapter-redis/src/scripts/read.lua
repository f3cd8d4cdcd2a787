-- Returns the kept messages of a group, in order.
-- KEYS: hash, stream. ARGV: maximum number of messages, age in ms (0: nothing is kept), how many are kept, fresh epoch, life of the hash in
-- ms, epoch, number. Without the last four the newest are read, whatever was seen.
-- Returns: epoch, number of the last message, that of the last one no longer kept, that after which to read, and entries; the first of them
-- may begin before that.
local meta, stream = KEYS[1], KEYS[2]
local known = redis.call('HMGET', meta, 'e', 'o')
local epoch, top = known[1], tonumber(known[2])
if not epoch then
    if not ARGV[4] then
        return {}
    end
    epoch, top = ARGV[4], 0
    redis.call('DEL', stream)
    redis.call('HDEL', meta, 'c', 'f')
    redis.call('HSET', meta, 'e', epoch, 'o', 0, 't', text(clock()))
    redis.call('PEXPIRE', meta, ARGV[5])
end
if ARGV[2] == '0' or (ARGV[6] and (ARGV[6] ~= epoch or tonumber(ARGV[7]) >= top)) then
    return {epoch, top, top, top, {}}
end
local oldest, floor = clock() - ARGV[2] * 1000, top
while true do
    local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
    if not first then
        break
    end
    local number = tonumber(string.match(first[1], '%d+'))
    if tonumber(first[2][2]) >= oldest then
        floor = math.max(number - first[2][4], top - ARGV[3])
        break
    end
    redis.call('XTRIM', stream, 'MINID', text(number + 1))
end
local from = math.max(floor, top - ARGV[1], ARGV[7] or 0)
local entries = {}
if from < top then
    for i, entry in ipairs(redis.call('XRANGE', stream, text(from + 1), '+')) do
        local fields = entry[2]
        entries[i] = {tonumber(string.match(entry[1], '%d+')), tonumber(fields[2]), tonumber(fields[4]), fields[8]}
    end
end
return {epoch, top, floor, from, entries}
