/**
 * Words that say "a telephone number follows", per language; rows to be argued about. Lower case, matched as whole words
 * where the script has spaces. `strong` words are about telephones and nothing else; `weak` ones need a number that
 * looks like one by itself.
 */
export const PHONE_CUES: readonly {
  readonly languages: string;
  readonly strong: string;
  readonly weak?: string;
}[] = [
  {
    languages: "English",
    strong:
      "phone phones telephone mobile cell cellphone cellular smartphone landline tel tels ph whatsapp viber wechat " +
      "sms fax facsimile hotline helpline voicemail mobilephone homephone workphone phonenumber phoneno msisdn",
    weak:
      "call calls caller callers calling called dial dialing dialling dialed dialled ring rang text texted texting reach reached reachable contact contacts contacted number " +
      "numbers extension telegram signal pager answering answered phoned phoning callback hold",
  },
  {
    languages: "German, Dutch, Nordic",
    strong:
      "telefon telefonnummer telefonnr tel handy handynummer mobil mobilnummer mobiltelefon rufnummer festnetz " +
      "telefoon telefoonnummer mobiel mobiele gsm mobilnr mobiltlf tlf telefonnumret puhelin puhelinnumero puh matkapuhelin " +
      "sími símanúmer farsími farsímanúmer telefonnummeret",
    weak:
      "anrufen ruf rufen rufe ruft rückruf zurückrufen anruf erreichen erreiche erreichst nummer bel bellen bereikbaar bereiken ring ringa numero kontakt " +
      "kontakta erreichbar nås nummeret tavoittaa soita",
  },
  {
    languages: "French, Spanish, Portuguese, Italian, Catalan, Romanian",
    strong:
      "cel téléphone telephone tél portable téléphonique mobile fixe teléfono telefono telf tlf tfno móvil movil celular " +
      "telefone tel telemóvel telemovel celulares cellulare telefonino telefonico telèfon mòbil telefon telefonul mobilul " +
      "télécopie fono fone zap zapi",
    weak:
      "appelez appeler appelle joindre joignable numéro numero llamar llama llame llámame número ligar ligue liga " +
      "chiamare chiama chiamami chiamate contattare contattarmi contattami trovi trovarmi contacter contactez contactar contactarme localizar localizarme " +
      "marcar marque telefonar falar fale contato contatto contacto contato sunați sună sunati numărul",
  },
  {
    languages: "Slavic, Baltic",
    strong:
      "телефон телефона телефону телефоном телефоны тел моб мобильный мобильного мобилен мобилни мобильник сотовый сотовый мобільний " +
      "телефонен телефонски телефону telefon telefonu telefony telefonní telefónne telefónu tel komórka komórkowy komórkę kom mobil mobilní " +
      "mobilný mobitel mobilni telefona telefonska telefonski broj tālrunis tālr telefons mobilais telefonas telefono telef mob ватсап вотсап " +
      "утас гар",
    weak:
      "звоните позвоните связаться свяжитесь связь набрать наберите контакты контакт dzwonić dzwonic dzwonię kontakt volat volejte звонить звони номер номера позвони дзвоніть zadzwoń dzwoń numer číslo zavolejte zavolajte volejte nazovite " +
      "pozovite številka pokličite звъни skambinkite numeris zvaniet numurs",
  },
  {
    languages: "Greek, Turkish, Azerbaijani, Hungarian, Estonian, Albanian, Maltese",
    strong:
      "τηλέφωνο τηλεφωνο τηλ κινητό κινητο τηλεφώνου telefon telefonu telefonum cep gsm tel telefonszám telefonszáma telefonszámom mobil " +
      "mobilszám telefoni mobiil telefonid telefoninumber mobiiltelefon celulari telefonit numri mowbajl mobilnömrə nömrə nömrəsi nömrəm",
    weak: "arayın ara numara numarası numaram καλέστε hívjon hívj szám helista number telefononi ċempel",
  },
  {
    languages: "Indonesian, Malay, Filipino, Vietnamese, Swahili and others of Africa",
    strong:
      "telepon telpon telp hp ponsel handphone telefon selular selpon telepono điện thoại sđt đt dtdđ di động simu rununu " +
      "nambari wayar lambar foonka taleefan taleefanka mobaylka ifoni ucingo foni telefoonnommer selfoon sel finday telefaonina téléfoni " +
      "telefowni nimewo telefòn selilè",
    weak: "nomor hubungi nombor tawagan numero gọi số liên hệ piga bel nommer",
  },
  {
    languages: "Uzbek, Kazakh, Kyrgyz, Tajik, Turkmen, Mongolian, Celtic, Basque, Esperanto",
    strong:
      "telefon telefoni telefonim raqami телефоны телефоным ұялы рақами телефони ffôn ffon symudol guthán fón teileafón " +
      "telefonoa mugikorra telefono poŝtelefono telefony",
    weak: "raqam нөмірі нөмір номери рақам rhif uimhir zenbakia",
  },
  {
    languages: "Arabic, Persian, Urdu, Pashto, Kurdish, Hebrew",
    strong:
      "هاتف الهاتف هاتفي هاتفك جوال الجوال جوالي موبايل الموبايل موبايلي تلفون تليفون التليفون محمول واتساب واتس نقال النقال " +
      "تلفن موبایل همراه شماره تماس فون موبائل ٹیلی ٹیلیفون ٹیلی فون ټیلیفون تەلەفۆن مۆبایل טלפון הטלפון נייד הנייד טל' סלולרי פלאפון وٹس",
    weak: "اتصل رقم رقمي رقمه الرقم للتواصل تماس نمبر نمبرہے מספר התקשרו להתקשר",
  },
];

/**
 * Where a number is, or what it is for: a field's label. They say nothing unless the number follows at once, but for
 * words like "at" and "is".
 */
export const PHONE_LABELS =
  "office home work line reception switchboard desk helpdesk free emergency direct support secretary private landline business main " +
  "büro buero zentrale durchwahl privat geschäftlich dienstlich rezeption sekretariat notfall empfang kundendienst kundenservice " +
  "bureau standard accueil domicile secrétariat urgence urgences oficina casa trabajo domicilio centralita recepción " +
  "emergencia emergencias ufficio lavoro centralino segreteria escritório trabalho recepção atendimento " +
  "kantoor thuis werk receptie klantenservice kontor hem arbete växel kundtjänst biuro dom praca recepcja infolinia офис дом рабочий " +
  "домашний справки приёмная приемная";

/** What may stand between a label and its number. */
export const PHONE_GLUE =
  "is at on under to no nr num number me us him her them back unter an der die pod po na по au le al el en op på em o é è ist är est es";

/** Right after a number, in parentheses or behind a dash: `555 0132 (home)`. */
export const PHONE_LABELS_AFTER =
  "office home work main direct line reception switchboard desk toll tollfree private personal business landline day evening night " +
  "büro privat geschäftlich zentrale bureau domicile oficina casa trabajo ufficio lavoro escritório trabalho kantoor thuis werk " +
  "kontor hem arbete biuro dom praca";

/** As {@link PHONE_CUES}, for scripts that put no boundary between words: found anywhere before the number. */
export const PHONE_CUES_UNSPACED: readonly string[] = [
  ..."電話 电话 手机 手機 携帯 行動電話 手提 聯絡 联系 聯繫 联络 拨打 撥打 致电 致電 来电 來電 問い合わせ お問合せ 微信 座机 热线 熱線 专线 传真 傳真 ファックス ファクス 連絡先 号码是 號碼是 番号は スマホ テレフォン ケータイ"
    .split(" "),
  ..."전화 연락처 휴대폰 핸드폰 휴대전화 팩스 번호 핸폰 모바일 폰번호 문의".split(" "),
  ..."โทร มือถือ เบอร์ ໂທ ມືຖື ເບີ ទូរស័ព្ទ ទូរសព្ទ លេខ ဖုန်း ဆက်သွယ် ཁ་པར ཞལ་པར".split(" "),
  ..."फ़ोन फोन मोबाइल मोबाईल दूरभाष नंबर नम्बर फ़ोन ফোন মোবাইল ফোন নম্বর ਫ਼ੋਨ ਫੋਨ ਮੋਬਾਈਲ ફોન મોબાઇલ ଫୋନ ମୋବାଇଲ தொலைபேசி கைபேசி மொபைல் போன் ఫోన్ మొబైల్ ಫೋನ್ ಮೊಬೈಲ್ ദൂരഭാഷ ഫോൺ മൊബൈൽ දුරකථන ජංගම ෆෝන්"
    .split(" "),
  ..."ስልክ ሞባይል ተሌፎን ቴሌፎን հեռ հեռախոս բջջային ტელ ტელეფონ მობილურ ފޯނު ފޯން މޯބައިލް ጁቡቲ".split(" "),
];

/** Words right before a number, or in the name of its field, that make it anything but a telephone number. */
export const NOT_A_PHONE =
  "pp order orders id ids uid uuid guid version ver v imei imsi iccid isbn issn doi invoice ref reference serial sku ticket case " +
  "tracking timestamp time date product item amount price cost total sum balance population year years page pages line lines " +
  "row rows port zip zipcode postcode postal code po part model patent rfc pmid bug issue pr commit build revision rev account acct " +
  "routing iban card ssn passport licence license member customer employee user policy claim vat tax tin ein registration reg " +
  "barcode upc ean asin lot batch size width height length weight distance speed score level seed hash checksum offset index " +
  "count points steps views followers likes range between around about approximately from random integer float number_of roughly " +
  "isbn-13 isbn-10 bestellung bestellnummer rechnung kundennummer artikelnummer commande facture pedido factura заказ заказа " +
  "счет счёт инн снилс паспорт 订单 订单号 編號 版本 单号 身份证 身份證 주문 주문번호 注文 口座 주민등록번호 주민번호 " +
  "nhs nino bsn burgerservicenummer cpf cnpj sin nas tfn medicare aadhaar aadhar pesel personnummer steuer-id idnr dni nif nie nric rrn npi mrn " +
  "reservation booking confirmation loan docket prescription rx locator student subscriber group record receipt transaction txn contract " +
  "vin chassis permit file folio report incident rma dossier plan batch job task run pid tid thread request session block bin " +
  "kundennr vertrag vertragsnummer policennummer police aktenzeichen vorgang contrat dossier póliza poliza contrato expediente polizza " +
  "pratica ordine fattura zamówienie faktura umowa polisa zamówienia faktury umowy polisy sprawy договор договора полис полиса";

/** Right after a number: what was counted or measured. */
export const UNITS =
  "calories kcal cal usd eur gbp jpy inr cny rub dollars euros pounds rupees yen yuan kg g mg lbs lb oz km m cm mm mi miles ft feet " +
  "inches px pt em rem ms s sec secs seconds min mins minutes hours hrs hr h days weeks months years bytes kb mb gb tb kbps mbps " +
  "hz khz mhz ghz rpm mah kwh watts w v a percent % ° users people persons items units pieces pcs records rows lines words " +
  "tokens times views followers subscribers likes points shares copies pages characters million billion thousand k";
