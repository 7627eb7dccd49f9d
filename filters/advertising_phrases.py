"""What advertising says: phrases that call to buy, by language, and the words around prices, telephones and links.

Collected by this project from shops, offers and comment spam; words as `filters.segment` has them, in any case. Words
that sell and that also tell ("sale", "offer", "angebot", "order") are not here alone, only in phrases.
"""

CALLS = (
    # English
    *("buy now", "buy it now", "buy online", "buy today", "buy cheap", "buy here", "where to buy", "order now"),
    *("order online", "order today", "order yours", "shop now", "shop online", "shop here", "shop the", "add to cart"),
    *("add to basket", "add to bag", "add to wishlist", "view cart", "shopping cart", "checkout", "in stock"),
    *("out of stock", "free shipping", "free delivery", "free returns", "next day delivery", "ships within"),
    *("limited time offer", "limited time only", "special offer", "special price", "special discount", "hot deals"),
    *(
        "best price",
        "best prices",
        "best deals",
        "best deal",
        "low price",
        "low prices",
        "lowest price",
        "lowest prices",
    ),
    *("great prices", "great price", "affordable price", "affordable prices", "unbeatable"),
    *("money back guarantee", "satisfaction guaranteed", "guaranteed approval", "risk free", "no obligation"),
    *("free quote", "get a quote", "request a quote", "free consultation", "free trial", "no credit check"),
    *("call now", "call today", "call us", "contact us today", "act now", "while supplies last"),
    *("while stocks last", "sign up now", "sign up today", "join now", "register now", "book now", "reserve now"),
    *("get yours", "get started today", "learn more about our", "click here to buy", "click here to order"),
    *("click here to get", "promo code", "coupon code", "coupon codes", "discount code", "coupons"),
    *("voucher code", "percent off", "off your first", "on sale now", "for sale", "clearance", "wholesale"),
    *("no prescription", "without prescription", "payday loan", "payday loans", "quick cash"),
    *(
        "cash advance",
        "viagra",
        "cialis",
        "online casino",
        "casino bonus",
        "essay writing service",
        "weight loss pills",
    ),
    *("seo services", "our products", "our services", "best selling", "bestseller"),
    # German
    *("jetzt kaufen", "jetzt bestellen", "jetzt buchen", "jetzt anfragen", "jetzt sichern", "jetzt anmelden"),
    *("jetzt shoppen", "jetzt zugreifen", "jetzt vergleichen", "jetzt testen", "jetzt entdecken", "in den warenkorb"),
    *("warenkorb", "zum shop", "zum angebot", "zum produkt", "hier kaufen", "hier bestellen", "online kaufen"),
    *("online bestellen", "günstig kaufen", "versandkostenfrei", "kostenloser versand", "kostenlose lieferung"),
    *("zzgl versand", "zzgl versandkosten", "inkl mwst", "inkl ust", "auf lager", "lieferzeit"),
    *("sofort lieferbar", "gutschein", "gutscheincode", "rabattcode", "rabatt", "sonderangebot", "schnäppchen"),
    *("solange der vorrat reicht", "unverbindlich anfragen", "unverbindliches angebot", "rufen sie uns an"),
    *("kontaktieren sie uns", "bestpreis", "tiefpreis", "niedrigster preis", "unsere produkte", "unsere kunden"),
    *("kostenlos testen", "unser angebot", "unsere leistungen", "artikelnummer", "merkzettel", "wunschliste"),
    # French
    *("ajouter au panier", "acheter maintenant", "achetez", "commandez", "commander maintenant", "livraison gratuite"),
    *("livraison offerte", "code promo", "bon plan", "prix bas", "meilleur prix", "en promotion", "en stock"),
    *(
        "satisfait ou remboursé",
        "profitez de",
        "devis gratuit",
        "appelez nous",
        "réservez",
        "offre spéciale",
        "pas cher",
    ),
    # Spanish and Portuguese
    *("comprar ahora", "compra ahora", "añadir al carrito", "envío gratis", "oferta especial", "mejor precio"),
    *("precio especial", "llámenos", "compre agora", "comprar agora", "adicionar ao carrinho", "frete grátis"),
    *("melhor preço", "descuento", "desconto", "en oferta", "en promoción"),
    # Italian and Dutch
    *("acquista ora", "aggiungi al carrello", "spedizione gratuita", "offerta speciale", "miglior prezzo", "sconto"),
    *("in winkelwagen", "gratis verzending", "nu kopen", "bestel nu", "koop nu", "aanbieding", "korting"),
    # Polish, Czech, Hungarian, Romanian
    *("do koszyka", "dodaj do koszyka", "kup teraz", "kup online", "zamów teraz", "darmowa dostawa", "kod rabatowy"),
    *("rabat", "promocja", "najniższa cena", "sklep internetowy", "do košíku", "koupit", "doprava zdarma", "sleva"),
    *("kosárba", "ingyenes szállítás", "kedvezmény", "akció", "adaugă în coș", "livrare gratuită", "cumpără acum"),
    # Turkish, Swedish, Danish, Norwegian, Finnish
    *("sepete ekle", "hemen al", "ücretsiz kargo", "indirim", "köp nu", "fri frakt", "lägg i varukorgen", "køb nu"),
    *("læg i kurv", "fri fragt", "kjøp nå", "legg i handlekurv", "lisää ostoskoriin", "osta nyt", "ilmainen toimitus"),
    # Russian, Ukrainian, Greek
    *(
        "купить",
        "заказать",
        "в корзину",
        "добавить в корзину",
        "бесплатная доставка",
        "скидка",
        "скидки",
        "низкие цены",
    ),
    *("по низким ценам", "звоните", "купити", "замовити", "до кошика", "безкоштовна доставка", "знижка", "знижки"),
    *("προσθήκη στο καλάθι", "αγόρασε τώρα", "δωρεάν αποστολή", "έκπτωση"),
    # Chinese, Japanese, Korean, Arabic, Vietnamese, Indonesian
    *(
        "立即购买",
        "加入购物车",
        "免费送货",
        "优惠",
        "特价",
        "包邮",
        "カートに入れる",
        "送料無料",
        "今すぐ購入",
        "お買い得",
    ),
    *("장바구니", "무료배송", "지금 구매", "할인", "اشتر الآن", "أضف إلى السلة", "شحن مجاني", "خصم", "mua ngay"),
    *("thêm vào giỏ hàng", "miễn phí vận chuyển", "giảm giá", "beli sekarang", "gratis ongkir", "diskon"),
)
"""Each occurrence is a mark; of phrases that begin with the same word the first that fits counts."""

CURRENCIES = (
    *("eur", "euro", "euros", "usd", "gbp", "chf", "pln", "zł", "kč", "huf", "руб", "рублей", "грн"),
    *("лв", "dkk", "sek", "nok", "kr", "aud", "inr", "rs", "元", "円"),
)
"""Words behind, or before, a number that is a price."""

MAGNITUDES = (
    *("million", "millions", "billion", "billions", "trillion", "thousand", "mio", "mrd", "bn", "m", "b", "k", "mln"),
    *("millionen", "milliarden", "milliarde", "tausend", "millones", "milhões", "milioni", "miliardi", "miliony"),
    *("milionów", "miliardów", "mld", "млн", "млрд", "тыс", "万", "亿", "億"),
)
"""Behind the number of an amount that nobody asks at a till."""

TELEPHONES = (
    *("tel", "telefon", "telephone", "phone", "fax", "telefax", "mobil", "mobile", "handy", "hotline", "whatsapp"),
    *("tél", "téléphone", "teléfono", "telefono", "telefone", "тел", "телефон", "τηλ", "电话", "電話", "call", "us"),
)
"""Before a number that is a telephone's."""

DOMAINS = ("com", "net", "org", "info", "biz", "shop", "store", "online", "eu", "co", "de", "fr", "pl", "ru", "uk")
"""Last parts of host names that are links where no http or www says so."""
