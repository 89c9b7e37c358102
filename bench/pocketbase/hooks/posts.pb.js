// What the demo's guest does in Sluice: a price above 100 is refused, and the title is rewritten.
onRecordCreateRequest((e) => {
  if (e.record.getFloat("price") > 100) {
    throw new BadRequestError("price must be <= 100")
  }
  e.record.set("title", e.record.getString("title").toLowerCase())
  e.next()
}, "posts")
