-- Returns the position of a group, and when the newest message was published, numbered or not.
-- KEYS: hash, stream. ARGV: fresh epoch, life of the hash in ms, first over a connection ('1'), and the last mark of the node: epoch or '',
-- number, time.
local meta, stream = KEYS[1], KEYS[2]
local known = redis.call('HMGET', meta, 'e', 'o', 't', 'F', 'u')
local epoch, top, time = known[1], tonumber(known[2]), tonumber(known[3])
local is_new = not epoch
local promotion = known[4]
if ARGV[3] == '1' then
    -- A promoted server may lack messages that the old one had acknowledged.
    promotion = ''
    local info = redis.pcall('INFO', 'replication')
    local before = type(info) == 'string' and string.match(info, 'master_replid2:(%w+)')
    if before and string.find(before, '[^0]') then
        promotion = string.match(info, 'master_replid:(%w+)')
    end
    if epoch and (known[4] or '') ~= promotion then
        is_new = true
    end
end
if epoch and ARGV[4] and ARGV[4] > epoch then
    -- Later messages were lost.
    is_new = true
elseif epoch and ARGV[4] == epoch then
    local offset, seen = tonumber(ARGV[5]), tonumber(ARGV[6])
    if offset > top or (offset == top and top > 0 and seen ~= time) then
        is_new = true
    elseif offset > 0 and offset < top then
        local entry = redis.call('XRANGE', stream, text(offset), '+', 'COUNT', 1)[1]
        local begins = entry and string.match(entry[1], '%d+') - entry[2][4]
        if entry and begins < offset and tonumber(entry[2][2]) ~= seen then
            is_new = true
        end
    end
end
if is_new then
    if not epoch then
        -- Otherwise the time stays: it is that of the last message, and identifies it.
        top, time = 0, clock()
        redis.call('DEL', stream)
        redis.call('HDEL', meta, 'c', 'f')
    end
    epoch = ARGV[1]
    redis.call('HSET', meta, 'e', epoch, 'o', text(top), 't', text(time), 'F', promotion or '')
end
redis.call('PEXPIRE', meta, ARGV[2])
return {epoch, top, time, math.max(time, tonumber(known[5] or 0))}
