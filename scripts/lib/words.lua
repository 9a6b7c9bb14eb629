-- SPDX-License-Identifier: MIT
--- What an order's status is called, by language. Save a new word and the next event says it.
return {
  en = { placed = "ordered", packed = "packed", shipped = "on its way", delivered = "delivered" },
  de = { placed = "bestellt", packed = "verpackt", shipped = "unterwegs", delivered = "geliefert" },
  es = { placed = "pedido", packed = "embalado", shipped = "en camino", delivered = "entregado" },
  fr = { placed = "commandé", packed = "emballé", shipped = "en route", delivered = "livré" },
}
